#pragma once
// Memory that the guest holds beside its load, as real guests do: freed pages, pages never touched again, page cache.

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#include "common.h"

struct holding {
    size_t once_mib, cold_mib, cache_mib;
    size_t own;  // like own have like pages; those that are cold are alike in all guests
};

static uint64_t* touched(size_t mib, uint64_t name) {
    const size_t words = mib * 1024 * 1024 / 8;
    uint64_t* memory = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    for (size_t word = 0; word < words; word++) memory[word] = mix(name, word);
    return memory;
}

// What it holds beside its load. The open disk keeps the page cache.
static void hold_more(const struct holding* wanted, const char* device) {
    const size_t mebibyte = 1024 * 1024;
    uint64_t* once = touched(wanted->once_mib, wanted->own + 1);
    if (once) munmap(once, wanted->once_mib * mebibyte);
    touched(wanted->cold_mib, 0);
    const int disk = wanted->cache_mib ? open(device, O_RDWR) : -1;
    for (size_t i = 0; i < wanted->cache_mib && disk >= 0; i++) {
        uint64_t* part = touched(1, (wanted->own + 1) << 20 | i);
        if (part && pwrite(disk, part, mebibyte, (off_t)((64 + i) * mebibyte)) != (ssize_t)mebibyte)
            say("NOTE %s has no room for %zu MiB of cache", device, wanted->cache_mib);
        if (part) munmap(part, mebibyte);
    }
    if (disk >= 0) fdatasync(disk);
}

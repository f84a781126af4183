// The tiny guest's load: dirties memory, writes a disk, and proves all the time that neither was harmed.
//
// Decides nothing about the host. One loop makes memory dirty, verifies it and prints a heartbeat; a child writes the
// disk, so that a slow fsync never delays the heartbeat. Settings come as KEY=VALUE words, later also from the console.
//
//   load=MIB:PAGES_PER_SECOND:PATTERN   idle, sequential, random, hot (9 of 10 writes in a tenth), sawtooth (0..2R)
//   swing=MIB:PERIOD_S:PHASE_S          so much more in the second half of a period; no work while it gets no memory
//   once=MIB                            touched at the start and freed
//   cold=MIB                            then kept, never written again, alike in all guests
//   cache=MIB                           then in the page cache, written beyond the disk's first 64 MiB
//   own=N                               like own have like pages
//   disk=BLOCKS_PER_SECOND              4 KiB blocks on the disk beyond the first MiB, 0 = none
//   dev=PATH                            the disk, /dev/vda by default
//   hb=MILLISECONDS                     heartbeat interval
//   fault=memory|disk                   harms one page or block behind the checks' back: proves that they see it
//
// Output, one write per line:
//   HB seq=123 t=12.300 pages=24576 dirtied=240000 checked=51200 bad=0 ok
//   DISK seq=57 slot=57 ok
// and CORRUPT in a line that says what was found, for ever after in the heartbeat too (bad=N CORRUPT).

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "hold.h"

enum { page_size = 4096, words_per_page = page_size / 8, hot_stride = 64, disk_first = 256, disk_slots_max = 8192 };

enum pattern { idle, sequential, random_order, hot, sawtooth };
static const char* const pattern_names[] = {"idle", "sequential", "random", "hot", "sawtooth"};

struct settings {
    size_t mib;
    double rate;
    enum pattern pattern;
    double disk_rate;
    char device[256];
    double heartbeat_s;
    size_t swing_mib;
    struct holding holding;
    double swing_s, swing_phase_s;
};

struct load {
    uint64_t* memory;
    uint32_t* expected;  // the count each page must hold: apart from the page, so that a lost write shows
    size_t pages, filled, next, check_next;
    uint64_t dirtied, checked, bad;
    double owed;         // pages that the rate still allows
    size_t least, most;  // pages without and with the swing
    uint64_t own;
};

static uint64_t random_below(uint64_t limit) {
    static uint64_t state = 1;
    return mix(++state, 77) % limit;
}

// --- memory ---------------------------------------------------------------------------------------------------------

// Every 64th word of a page holds its count, the others its index: what a page must be is known without a copy of it.
static uint64_t word_of(size_t page, uint32_t count, size_t word) {
    return word % hot_stride == 0 ? mix(page, ((uint64_t)count << 16) + word) : mix(page, word) ^ page;
}

// By which the content of a page is made.
static uint64_t name_of(const struct load* load, size_t page) {
    return page + (load->own << 40);
}

static void write_page(struct load* load, size_t page, uint32_t count) {
    uint64_t* at = load->memory + page * words_per_page;
    for (size_t word = 0; word < words_per_page; word += hot_stride)
        at[word] = word_of(name_of(load, page), count, word);
    load->expected[page] = count;
}

static void fill_page(struct load* load, size_t page) {
    uint64_t* at = load->memory + page * words_per_page;
    for (size_t word = 0; word < words_per_page; word++) at[word] = word_of(name_of(load, page), 0, word);
    load->expected[page] = 0;
}

static void report_bad(struct load* load, size_t page, size_t word, uint64_t found) {
    if (load->bad++ < 20)
        say("CORRUPT memory page=%zu word=%zu count=%u expected=%016llx found=%016llx", page, word,
            load->expected[page], (unsigned long long)word_of(name_of(load, page), load->expected[page], word),
            (unsigned long long)found);
}

static void check_page(struct load* load, size_t page) {
    const uint64_t* at = load->memory + page * words_per_page;
    load->checked++;
    for (size_t word = 0; word < words_per_page; word++)
        if (at[word] != word_of(name_of(load, page), load->expected[page], word)) {
            report_bad(load, page, word, at[word]);
            fill_page(load, page);  // one harm is reported once
            return;
        }
}

static size_t pick_page(struct load* load, enum pattern pattern) {
    const size_t tenth = load->pages / 10 ? load->pages / 10 : 1;
    switch (pattern) {
        case sequential:
            return load->next++ % load->pages;
        case hot:
            return random_below(10) ? random_below(tenth) : random_below(load->pages);
        default:
            return random_below(load->pages);
    }
}

static void dirty_one(struct load* load, enum pattern pattern) {
    const size_t page = pick_page(load, pattern);
    const uint64_t head = load->memory[page * words_per_page];
    if (head != word_of(name_of(load, page), load->expected[page], 0)) report_bad(load, page, 0, head);
    write_page(load, page, load->expected[page] + 1);
    load->dirtied++;
}

static double rate_at(const struct settings* settings, double t) {
    const double period = 20;
    if (settings->pattern == idle) return 0;
    if (settings->pattern != sawtooth) return settings->rate;
    const double phase = t - period * (double)(uint64_t)(t / period);
    return 2 * settings->rate * phase / period;
}

static size_t available_mib(void) {
    char text[512] = {0};
    int file = open("/proc/meminfo", O_RDONLY);
    ssize_t got = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    const char* line = got > 0 ? strstr(text, "MemAvailable:") : NULL;
    return line ? strtoul(line + 13, NULL, 10) / 1024 : 0;
}

static void set_memory(struct load* load, const struct settings* settings) {
    if (load->memory) munmap(load->memory, load->most * page_size);
    if (load->expected) munmap(load->expected, load->most * sizeof *load->expected);
    const size_t room = available_mib();
    size_t mib = settings->mib;
    if (room && mib + 12 > room) {
        mib = room > 16 ? room - 12 : 4;
        say("NOTE load asks for %zu MiB, the guest has room for %zu", settings->mib, mib);
    }
    memset(load, 0, sizeof *load);
    load->own = settings->holding.own;
    load->pages = load->least = mib * 1024 * 1024 / page_size;
    load->most = load->least + settings->swing_mib * 1024 * 1024 / page_size;
    load->memory = mmap(NULL, load->most * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    load->expected =
        mmap(NULL, load->most * sizeof *load->expected, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (load->memory == MAP_FAILED || load->expected == MAP_FAILED) {
        say("CORRUPT no memory for %zu MiB", mib);
        load->memory = NULL, load->expected = NULL, load->pages = load->least = load->most = 0;
    }
}

// The swing's memory is freed as it ends. The guest's kernel is asked for more only while it has some: a program that
// took it unasked would be killed, and its whole work would be gone with it.
static void swing(struct load* load, const struct settings* settings, double t) {
    if (load->most == load->least) return;
    const double since = t + settings->swing_phase_s;
    const double at = since - settings->swing_s * (double)(uint64_t)(since / settings->swing_s);
    load->pages = at < settings->swing_s / 2 ? load->least : load->most;
    if (load->filled <= load->pages) return;
    madvise(load->memory + load->pages * words_per_page, (load->filled - load->pages) * page_size, MADV_DONTNEED);
    load->filled = load->pages;
}

// Works until `until`: first fills, then pays the pages owed since `since`, then verifies a little.
static void work(struct load* load, const struct settings* settings, double since, double until) {
    enum { spare_mib = 8 };
    load->owed += rate_at(settings, until) * (now_s() - since);
    while (load->filled < load->pages && now_s() < until) {
        if (load->filled >= load->least && load->most > load->least && available_mib() < spare_mib) break;
        for (int i = 0; i < 32 && load->filled < load->pages; i++) fill_page(load, load->filled++);
    }
    if (load->owed > settings->rate) load->owed = settings->rate;  // a longer pause is not made good later
    if (load->pages == 0 || load->filled < load->pages) return;
    while (load->owed >= 1 && now_s() < until)
        for (int i = 0; i < 32 && load->owed >= 1; i++, load->owed--) dirty_one(load, settings->pattern);
    for (int i = 0; i < 8 && now_s() < until; i++) check_page(load, load->check_next++ % load->pages);
}

// --- disk -----------------------------------------------------------------------------------------------------------

struct block {
    char magic[8];
    uint64_t seq, slot, writer;  // writer: who is running this guest; two of them on one disk is what must never be
    uint64_t fill[words_per_page - 5];
    uint64_t sum;
};

static uint64_t sum_of(const struct block* block) {
    uint64_t sum = 0;
    const uint64_t* words = (const uint64_t*)block;
    for (size_t i = 0; i + 1 < words_per_page; i++) sum = mix(sum ^ words[i], i);
    return sum;
}

static const char* fault_of(const struct block* block, uint64_t slot) {
    if (memcmp(block->magic, "BALLAST", 8) != 0) return "no block of ours";
    if (block->sum != sum_of(block)) return "wrong checksum";
    if (block->slot != slot) return "block of another place";
    return NULL;
}

static int transfer(int disk, struct block* block, uint64_t slot, int writing) {
    const off_t at = (off_t)(disk_first + slot) * page_size;
    const ssize_t done = writing ? pwrite(disk, block, page_size, at) : pread(disk, block, page_size, at);
    return done == page_size ? 0 : -1;
}

// Takes in one block that an earlier run left: each that is there must still be whole.
static uint64_t recall_block(const struct block* block, uint64_t slot, uint64_t* seqs) {
    if (block->magic[0] == 0) return 0;
    const char* fault = fault_of(block, slot);
    if (fault)
        say("DISK CORRUPT slot=%llu at start: %s", (unsigned long long)slot, fault);
    else
        seqs[slot] = block->seq;
    return fault ? 0 : block->seq;
}

// Reads the whole region, many blocks at a time. Returns the next sequence number.
static uint64_t recall(int disk, uint64_t slots, uint64_t* seqs) {
    enum { batch = 64 };
    uint64_t last = 0, found = 0;
    struct block* blocks = aligned_alloc(page_size, batch * page_size);
    for (uint64_t first = 0; blocks && first < slots; first += batch) {
        const uint64_t count = slots - first < batch ? slots - first : batch;
        if (pread(disk, blocks, count * page_size, (off_t)(disk_first + first) * page_size) <= 0) continue;
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t seq = recall_block(&blocks[i], first + i, seqs);
            found += seq != 0;
            if (seq > last) last = seq;
        }
    }
    free(blocks);
    say("DISK start seq=%llu found=%llu", (unsigned long long)last + 1, (unsigned long long)found);
    return last + 1;
}

static void verify(int disk, struct block* block, uint64_t slot, uint64_t seq, uint64_t writer, int* good) {
    const char* fault = transfer(disk, block, slot, 0) != 0 ? "can't be read" : fault_of(block, slot);
    if (!fault && seq && block->seq != seq)
        fault = block->writer == writer ? "an old block is back" : "a foreign writer";
    if (!fault) return;
    *good = 0;
    say("DISK CORRUPT slot=%llu expected seq=%llu found seq=%llu: %s", (unsigned long long)slot,
        (unsigned long long)seq, (unsigned long long)block->seq, fault);
}

static uint64_t size_of(int disk) {
    uint64_t bytes = 0;
    if (disk < 0) return 0;
    if (ioctl(disk, BLKGETSIZE64, &bytes) == 0) return bytes;
    const off_t end = lseek(disk, 0, SEEK_END);  // a plain file, in tests
    return end > 0 ? (uint64_t)end : 0;
}

static void harm_disk(const char* device) {
    int disk = open(device, O_WRONLY | O_DIRECT);
    struct block* junk = aligned_alloc(page_size, page_size);
    if (disk >= 0 && junk && transfer(disk, memset(junk, 0x5a, page_size), 1, 1) == 0)
        say("NOTE harmed slot 1 of %s", device);
    if (disk >= 0) close(disk);
    free(junk);
}

static void write_disk(const char* device, double rate) {
    int disk = open(device, O_RDWR | O_DIRECT);
    uint64_t bytes = size_of(disk), writer = 0;
    struct block* block = aligned_alloc(page_size, page_size);
    uint64_t* seqs = calloc(disk_slots_max, sizeof *seqs);
    if (bytes / page_size < disk_first + 16 || !block || !seqs) {
        say("DISK none: %s is absent or smaller than 2 MiB", device);
        _exit(0);
    }
    uint64_t slots = bytes / page_size - disk_first;
    if (slots > disk_slots_max) slots = disk_slots_max;
    if (getrandom(&writer, sizeof writer, GRND_NONBLOCK) != sizeof writer) writer = (uint64_t)(now_s() * 1e9);
    double next_line = 0, due = now_s();
    for (uint64_t seq = recall(disk, slots, seqs);; seq++) {
        const uint64_t slot = seq % slots, other = random_below(seq < slots ? seq + 1 : slots);
        int good = 1;
        if (seqs[slot]) verify(disk, block, slot, seqs[slot], writer, &good);  // harm is seen before it is written over
        memcpy(block->magic, "BALLAST", 8);
        block->seq = seq, block->slot = slot, block->writer = writer;
        for (size_t i = 0; i < words_per_page - 5; i++) block->fill[i] = mix(seq, i);
        block->sum = sum_of(block);
        if (transfer(disk, block, slot, 1) != 0 || fdatasync(disk) != 0) {
            say("DISK seq=%llu slot=%llu can't be written", (unsigned long long)seq, (unsigned long long)slot);
            good = 0;
        } else {
            seqs[slot] = seq;
            verify(disk, block, slot, seq, writer, &good);
        }
        if (seqs[other]) verify(disk, block, other, seqs[other], writer, &good);
        if (good && now_s() >= next_line) {
            say("DISK seq=%llu slot=%llu ok", (unsigned long long)seq, (unsigned long long)slot);
            next_line = now_s() + 0.1;
        }
        due += 1 / rate;
        const double rest = due - now_s();
        if (rest > 0)
            usleep((useconds_t)(rest * 1e6));
        else
            due = now_s();
    }
}

static pid_t start_disk(pid_t running, const struct settings* settings) {
    if (running > 0) {
        kill(running, SIGKILL);
        waitpid(running, NULL, 0);
    }
    if (settings->disk_rate <= 0) return 0;
    const pid_t child = fork();
    if (child == 0) write_disk(settings->device, settings->disk_rate);
    return child;
}

// --- settings -------------------------------------------------------------------------------------------------------

static int parse_load(const char* text, struct settings* settings) {
    char name[16];
    unsigned long mib;
    double rate;
    if (sscanf(text, "%lu:%lf:%15[a-z]", &mib, &rate, name) != 3 || mib == 0 || rate < 0) return -1;
    for (size_t i = 0; i < sizeof pattern_names / sizeof *pattern_names; i++)
        if (strcmp(name, pattern_names[i]) == 0) {
            settings->mib = mib, settings->rate = rate, settings->pattern = (enum pattern)i;
            return 0;
        }
    return -1;
}

static int parse_swing(const char* text, struct settings* settings) {
    unsigned long mib;
    double period, phase;
    if (sscanf(text, "%lu:%lf:%lf", &mib, &period, &phase) != 3 || period < 1 || phase < 0) return -1;
    settings->swing_mib = mib, settings->swing_s = period, settings->swing_phase_s = phase;
    return 0;
}

static int parse_word(const char* word, struct settings* settings) {
    const char* const names[] = {"once=", "cold=", "cache=", "own="};
    size_t* const numbers[] = {&settings->holding.once_mib, &settings->holding.cold_mib, &settings->holding.cache_mib,
                               &settings->holding.own};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(word, names[i], strlen(names[i])) == 0) {
            *numbers[i] = strtoul(strchr(word, '=') + 1, NULL, 10) & 0xffff;
            return 0;
        }
    if (strncmp(word, "load=", 5) == 0) return parse_load(word + 5, settings);
    if (strncmp(word, "swing=", 6) == 0) return parse_swing(word + 6, settings);
    if (strncmp(word, "disk=", 5) == 0)
        settings->disk_rate = atof(word + 5);
    else if (strncmp(word, "dev=", 4) == 0)
        snprintf(settings->device, sizeof settings->device, "%s", word + 4);
    else if (strncmp(word, "hb=", 3) == 0 && atof(word + 3) >= 10)
        settings->heartbeat_s = atof(word + 3) / 1000;
    else if (strncmp(word, "ip=", 3) != 0)
        return -1;
    return 0;
}

static void run_shell(void) {
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "stty sane; sh -i; stty -echo", (char*)NULL);
        _exit(1);
    }
    if (child > 0) waitpid(child, NULL, 0);
}

// One line from the console: KEY=VALUE changes the load at once, 'sh' is a shell until 'exit'.
static void obey(char* line, struct settings* settings, struct load* load, pid_t* disk) {
    const struct settings before = *settings;
    line[strcspn(line, "\r\n")] = 0;
    if (line[0] == 0) return;
    if (strcmp(line, "sh") == 0) {
        run_shell();
        return;
    }
    if (strcmp(line, "fault=memory") == 0 && load->pages) {
        load->memory[random_below(load->pages) * words_per_page + 7] ^= 1;
        return;
    }
    if (strcmp(line, "fault=disk") == 0) {
        harm_disk(settings->device);
        return;
    }
    if (parse_word(line, settings) != 0) {
        say("HELP load=MIB:PAGES_PER_SECOND:idle|sequential|random|hot|sawtooth  swing=MIB:PERIOD_S:PHASE_S  "
            "disk=BLOCKS_PER_SECOND  hb=MS  fault=memory|disk  sh");
        return;
    }
    say("SET %s", line);
    if (settings->mib != before.mib || settings->swing_mib != before.swing_mib) set_memory(load, settings);
    if (settings->disk_rate != before.disk_rate) *disk = start_disk(*disk, settings);
}

static void listen_to(struct pollfd* console, struct settings* settings, struct load* load, pid_t* disk) {
    char line[320];
    const ssize_t got = read(console->fd, line, sizeof line - 1);
    if (got <= 0) {
        console->fd = -1;  // nobody is there: poll ignores it from now on
        return;
    }
    line[got] = 0;
    obey(line, settings, load, disk);
}

static void heartbeat(const struct load* load, uint64_t seq, double t) {
    say("HB seq=%llu t=%.3f pages=%zu dirtied=%llu checked=%llu bad=%llu %s", (unsigned long long)seq, t, load->filled,
        (unsigned long long)load->dirtied, (unsigned long long)load->checked, (unsigned long long)load->bad,
        load->bad ? "CORRUPT" : "ok");
}

int main(int argc, char** argv) {
    struct settings settings = {
        .mib = 16, .rate = 200, .pattern = random_order, .disk_rate = 0, .heartbeat_s = 0.1, .device = "/dev/vda"};
    for (int i = 1; i < argc; i++)
        if (parse_word(argv[i], &settings) != 0) say("NOTE setting not understood: %s", argv[i]);
    struct load load = {0};
    hold_more(&settings.holding, settings.device);
    set_memory(&load, &settings);
    pid_t disk = start_disk(0, &settings);
    struct pollfd console = {.fd = 0, .events = POLLIN};
    uint64_t seq = 0;
    const double tick_s = 0.01;
    double since = now_s(), beat = since;
    for (;;) {
        const double t = now_s();
        if (t >= beat) {
            heartbeat(&load, seq++, t);
            beat += settings.heartbeat_s;
            if (beat < t) beat = t + settings.heartbeat_s;
        }
        swing(&load, &settings, t);
        work(&load, &settings, since, t + tick_s * 0.8);
        since = t;
        const double rest = t + tick_s - now_s();
        if (poll(&console, 1, rest > 0 ? (int)(rest * 1000) + 1 : 0) > 0) listen_to(&console, &settings, &load, &disk);
    }
}

#pragma once
// Owners of libvirt's objects. Each releases what it holds exactly once; none calls libvirt otherwise.
// Thread rule: a handle belongs to the task that made it. Releasing the last handle of a connection closes it, which
// may wait for the host: never release one on the loop thread.

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>

namespace ballast::drivers::libvirt {

template <auto Release>
struct Releaser {
    template <class T>
    void operator()(T* raw) const noexcept {
        static_cast<void>(Release(raw));
    }
};

using ConnectHandle = std::unique_ptr<virConnect, Releaser<virConnectClose>>;
using Domain = std::unique_ptr<virDomain, Releaser<virDomainFree>>;
using Network = std::unique_ptr<virNetwork, Releaser<virNetworkFree>>;
using Pool = std::unique_ptr<virStoragePool, Releaser<virStoragePoolFree>>;
using Volume = std::unique_ptr<virStorageVol, Releaser<virStorageVolFree>>;
using Stream = std::unique_ptr<virStream, Releaser<virStreamFree>>;
/// Text that libvirt allocated.
using CText = std::unique_ptr<char, Releaser<std::free>>;

/// Takes over a list as the virConnectListAll… calls return it: `count` objects in a malloc'ed array.
template <class Handle>
[[nodiscard]] std::vector<Handle> adopt_list(typename Handle::pointer* raw, int count) {
    std::vector<Handle> list;
    list.reserve(count > 0 ? static_cast<std::size_t>(count) : 0U);
    for (int i = 0; i < count; ++i) list.emplace_back(raw[i]);  // NOLINT(*-pointer-arithmetic): libvirt's array
    std::free(static_cast<void*>(raw));                         // NOLINT(*-no-malloc): libvirt's array
    return list;
}

/// A copy of a text that libvirt allocated; empty for null.
[[nodiscard]] inline std::string take_text(char* raw) {
    const CText owner(raw);
    return owner ? std::string(owner.get()) : std::string();
}

/// Parameters for and from libvirt's typed-parameter calls.
class TypedParams {
  public:
    TypedParams() = default;
    TypedParams(const TypedParams&) = delete;
    TypedParams& operator=(const TypedParams&) = delete;
    ~TypedParams() { virTypedParamsFree(params_, count_); }

    void add(const char* name, int value) { virTypedParamsAddInt(&params_, &count_, &capacity_, name, value); }
    void add(const char* name, unsigned int value) {
        virTypedParamsAddUInt(&params_, &count_, &capacity_, name, value);
    }
    void add(const char* name, unsigned long long value) {
        virTypedParamsAddULLong(&params_, &count_, &capacity_, name, value);
    }
    void add(const char* name, const std::string& value) {
        virTypedParamsAddString(&params_, &count_, &capacity_, name, value.c_str());
    }
    [[nodiscard]] virTypedParameterPtr data() const { return params_; }
    [[nodiscard]] int count() const { return count_; }
    /// For calls that allocate the list themselves.
    [[nodiscard]] virTypedParameterPtr* out() { return &params_; }
    [[nodiscard]] int* out_count() { return &count_; }

  private:
    virTypedParameterPtr params_ = nullptr;
    int count_ = 0;
    int capacity_ = 0;
};

}  // namespace ballast::drivers::libvirt

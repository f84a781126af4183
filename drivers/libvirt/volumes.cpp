#include "drivers/libvirt/volumes.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <libvirt/virterror.h>
#include <pugixml.hpp>

#include "core/try.h"
#include "drivers/libvirt/domain_parse.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"

namespace ballast::drivers::libvirt {
namespace {

constexpr std::size_t chunk = std::size_t{256} << 10U;
constexpr Bytes longest_head = mebibytes(1);

Result<VolumeView> view_of(virStorageVolPtr volume) {
    VolumeView view;
    view.name = virStorageVolGetName(volume);
    virStorageVolInfo info{};
    if (virStorageVolGetInfo(volume, &info) < 0) return refused("can't read volume '{}'", view.name);
    view.path = take_text(virStorageVolGetPath(volume));
    view.capacity = Bytes(static_cast<std::int64_t>(info.capacity));
    view.allocation = Bytes(static_cast<std::int64_t>(info.allocation));
    const auto xml = parse_volume(take_text(virStorageVolGetXMLDesc(volume, 0)));
    view.format = xml.format;
    view.backing_path = xml.backing_path;
    return view;
}

/// An upload or download in progress: aborted unless it was finished.
class Transfer {
  public:
    explicit Transfer(virConnectPtr connection) : stream_(virStreamNew(connection, 0)) {}
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() {
        if (begun_) virStreamAbort(stream_.get());
    }
    [[nodiscard]] virStreamPtr get() const { return stream_.get(); }
    void begin() { begun_ = true; }
    [[nodiscard]] bool finish() {
        begun_ = false;
        return virStreamFinish(stream_.get()) == 0;
    }

  private:
    Stream stream_;
    bool begun_ = false;
};

/// libvirtd names why a stream broke only to the next call on it.
std::unexpected<Error> broken(Transfer& transfer, const std::string& name) {
    const Error first = last_error(fmt::format("the upload of volume '{}' broke", name));
    if (first.code() == Code::resource_exhausted || transfer.finish()) return std::unexpected(first);
    return refused("the upload of volume '{}' broke", name);
}

Result<void> send_all(Transfer& transfer, const std::string& name, std::span<const char> bytes) {
    while (!bytes.empty()) {
        const int sent = virStreamSend(transfer.get(), bytes.data(), bytes.size());
        if (sent < 0) return broken(transfer, name);
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return {};
}

Result<void> pump(Transfer& transfer, const std::string& name, Bytes size, const ByteSource& source) {
    std::vector<char> buffer(chunk);
    for (Bytes left = size; left.count() > 0;) {
        const auto want = std::min<std::int64_t>(left.count(), static_cast<std::int64_t>(chunk));
        BALLAST_TRY(const std::size_t got, source(std::span(buffer).first(static_cast<std::size_t>(want))));
        if (got == 0)
            return fail(Code::invalid_argument, "the source of volume '{}' ended {} before its announced size of {}",
                        name, left, size);
        BALLAST_CHECK(send_all(transfer, name, std::span(buffer).first(got)));
        left -= Bytes(static_cast<std::int64_t>(got));
    }
    BALLAST_TRY(const std::size_t more, source(std::span(buffer).first(1)));
    if (more != 0)
        return fail(Code::invalid_argument, "the source of volume '{}' goes on after its announced size of {}", name,
                    size);
    return {};
}

}  // namespace

Result<std::vector<PoolView>> read_pools(virConnectPtr connection) {
    virStoragePoolPtr* raw = nullptr;
    const int count = virConnectListAllStoragePools(connection, &raw, 0);
    if (count < 0) return refused("can't list the host's storage pools");
    std::vector<PoolView> views;
    for (const auto& pool : adopt_list<Pool>(raw, count)) {
        virStoragePoolInfo info{};
        if (virStoragePoolGetInfo(pool.get(), &info) < 0) continue;  // gone since the list
        const auto xml = parse_pool(take_text(virStoragePoolGetXMLDesc(pool.get(), 0)));
        views.push_back({.name = virStoragePoolGetName(pool.get()),
                         .type = xml.type,
                         .path = xml.path,
                         .active = info.state == VIR_STORAGE_POOL_RUNNING,
                         .capacity = Bytes(static_cast<std::int64_t>(info.capacity)),
                         .available = Bytes(static_cast<std::int64_t>(info.available))});
    }
    return views;
}

Result<std::vector<VolumeView>> read_volumes(virConnectPtr connection, const std::string& pool) {
    BALLAST_TRY(const auto found, find_pool(connection, pool));
    virStorageVolPtr* raw = nullptr;
    const int count = virStoragePoolListAllVolumes(found.get(), &raw, 0);
    if (count < 0) return refused("can't list the volumes of pool '{}'", pool);
    std::vector<VolumeView> views;
    for (const auto& volume : adopt_list<Volume>(raw, count)) {
        auto view = view_of(volume.get());
        if (view) views.push_back(std::move(*view));
    }
    return views;
}

Result<VolumeView> read_one_volume(virConnectPtr connection, const std::string& pool, const std::string& name) {
    BALLAST_TRY(const auto volume, find_volume(connection, pool, name));
    return view_of(volume.get());
}

Result<std::string> make_volume_xml(const NewVolume& volume) {
    if (volume.name.empty() || volume.name.find('/') != std::string::npos || volume.name.starts_with('.'))
        return fail(Code::invalid_argument, "'{}' can't name a volume: no '/', no leading '.'", volume.name);
    if (volume.format != "qcow2" && volume.format != "raw")
        return fail(Code::invalid_argument, "volume '{}': the format is qcow2 or raw, not '{}'", volume.name,
                    volume.format);
    if (!volume.backing_path.empty() && volume.format != "qcow2")
        return fail(Code::invalid_argument, "volume '{}': only a qcow2 volume can have a backing file", volume.name);
    pugi::xml_document document;
    auto root = document.append_child("volume");
    root.append_child("name").text().set(volume.name.c_str());
    auto capacity = root.append_child("capacity");
    capacity.append_attribute("unit").set_value("bytes");
    capacity.text().set(static_cast<long long>(volume.capacity.count()));
    auto allocation = root.append_child("allocation");
    allocation.append_attribute("unit").set_value("bytes");
    allocation.text().set(0);
    root.append_child("target").append_child("format").append_attribute("type").set_value(volume.format.c_str());
    if (!volume.backing_path.empty()) {
        auto backing = root.append_child("backingStore");
        backing.append_child("path").text().set(volume.backing_path.c_str());
        const std::string format = volume.backing_format.empty() ? "qcow2" : volume.backing_format;
        backing.append_child("format").append_attribute("type").set_value(format.c_str());
    }
    std::ostringstream out;
    document.print(out, "  ", pugi::format_default | pugi::format_no_declaration);
    return out.str();
}

Result<VolumeView> make_volume(virConnectPtr connection, const NewVolume& volume) {
    BALLAST_TRY(const auto xml, make_volume_xml(volume));
    BALLAST_TRY(const auto pool, find_pool(connection, volume.pool));
    const Volume made(virStorageVolCreateXML(pool.get(), xml.c_str(), 0));
    if (!made) return refused("can't create volume '{}' in pool '{}'", volume.name, volume.pool);
    return view_of(made.get());
}

Result<void> fill_volume(virConnectPtr connection, const std::string& pool, const std::string& name, Bytes size,
                         const ByteSource& source) {
    BALLAST_TRY(const auto volume, find_volume(connection, pool, name));
    Transfer transfer(connection);
    if (transfer.get() == nullptr) return refused("can't upload volume '{}'", name);
    if (virStorageVolUpload(volume.get(), transfer.get(), 0, static_cast<unsigned long long>(size.count()), 0) < 0)
        return refused("can't upload volume '{}' into pool '{}'", name, pool);
    transfer.begin();
    BALLAST_CHECK(pump(transfer, name, size, source));
    if (!transfer.finish())
        return refused("the upload of volume '{}' into pool '{}' could not be finished", name, pool);
    return {};
}

Result<std::string> read_volume_head(virConnectPtr connection, const std::string& pool, const std::string& name,
                                     Bytes size) {
    if (size.count() <= 0 || size > longest_head)
        return fail(Code::invalid_argument, "the head of volume '{}' is read up to {}, not {}", name, longest_head,
                    size);
    BALLAST_TRY(const auto volume, find_volume(connection, pool, name));
    Transfer transfer(connection);
    if (transfer.get() == nullptr) return refused("can't read volume '{}'", name);
    if (virStorageVolDownload(volume.get(), transfer.get(), 0, static_cast<unsigned long long>(size.count()), 0) < 0)
        return refused("can't read volume '{}' of pool '{}'", name, pool);
    transfer.begin();
    std::string head(static_cast<std::size_t>(size.count()), '\0');
    std::size_t filled = 0;
    while (filled < head.size()) {
        const int got = virStreamRecv(transfer.get(), head.data() + filled, head.size() - filled);
        if (got < 0) return refused("the reading of volume '{}' broke", name);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    head.resize(filled);
    if (filled < static_cast<std::size_t>(size.count())) {
        static_cast<void>(transfer.finish());
    }
    return head;
}

Result<void> remove_volume(virConnectPtr connection, const std::string& pool, const std::string& name) {
    BALLAST_TRY(const auto found, find_pool(connection, pool));
    const Volume volume(virStorageVolLookupByName(found.get(), name.c_str()));
    if (!volume) {
        if (last_error_number() == VIR_ERR_NO_STORAGE_VOL) return {};
        return refused("can't find volume '{}' in pool '{}'", name, pool);
    }
    if (virStorageVolDelete(volume.get(), VIR_STORAGE_VOL_DELETE_NORMAL) == 0) return {};
    if (last_error_number() == VIR_ERR_NO_STORAGE_VOL) return {};
    return refused("can't delete volume '{}' of pool '{}'", name, pool);
}

}  // namespace ballast::drivers::libvirt

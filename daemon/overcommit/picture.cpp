#include "daemon/overcommit/picture.h"

namespace ballast::overcommit {

std::shared_ptr<const Pictures> PictureBoard::all() const {
    const std::scoped_lock lock(mutex_);
    if (!given_out_) given_out_ = std::make_shared<const Pictures>(pictures_);
    return given_out_;
}

std::shared_ptr<const HostPicture> PictureBoard::find(const HostId& host) const {
    const std::scoped_lock lock(mutex_);
    const auto at = pictures_.find(host);
    return at == pictures_.end() ? nullptr : at->second;
}

void PictureBoard::publish(HostPicture picture) {
    auto made = std::make_shared<const HostPicture>(std::move(picture));
    const std::scoped_lock lock(mutex_);
    pictures_.insert_or_assign(made->host, made);
    given_out_.reset();
}

void PictureBoard::forget(const HostId& host) {
    const std::scoped_lock lock(mutex_);
    pictures_.erase(host);
    given_out_.reset();
}

}  // namespace ballast::overcommit

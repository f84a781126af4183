#include "daemon/api/row_cache.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace ballast::api {

Text RowCache::render(const std::shared_ptr<const Token>& row) {
    return find_or_make(row, [&] {
        Json json = to_json(*row);
        json.erase("sha256");
        return dump(json);
    });
}

std::size_t RowCache::size() const {
    const std::scoped_lock lock(mutex_);
    return entries_.size();
}

Text RowCache::find_or_make(std::shared_ptr<const void> row, const std::function<std::string()>& make) {
    {
        const std::scoped_lock lock(mutex_);
        const auto at = entries_.find(row.get());
        // An address may be used again: only the same, still living row counts.
        if (at != entries_.end() && !at->second.row.expired()) return at->second.text;
    }
    auto text = std::make_shared<const std::string>(make());
    const std::scoped_lock lock(mutex_);
    if (entries_.size() >= sweep_at_) sweep();
    entries_.insert_or_assign(row.get(), Entry{row, text});
    return text;
}

void RowCache::sweep() {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.row.expired(); });
    sweep_at_ = std::max<std::size_t>(1024, entries_.size() * 2);
}

}  // namespace ballast::api

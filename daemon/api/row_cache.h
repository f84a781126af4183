#pragma once
// Each row renders its JSON once per revision; GET, lists and events share the text (ARCHITECTURE.md 2: a DOM per GET
// halves the throughput). Keyed by the row's identity: a snapshot never changes a row, it replaces it. Thread-safe (the
// writer thread renders answers, too).

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/job.h"
#include "core/json.h"

namespace ballast::api {

using Text = std::shared_ptr<const std::string>;

class RowCache {
  public:
    template <class Row>
    [[nodiscard]] Text render(const std::shared_ptr<const Row>& row) {
        return find_or_make(row, [&] { return to_json_text(*row); });
    }
    /// Without the secret's hash.
    [[nodiscard]] Text render(const std::shared_ptr<const Token>& row);

    [[nodiscard]] std::size_t size() const;

  private:
    [[nodiscard]] Text find_or_make(std::shared_ptr<const void> row, const std::function<std::string()>& make);
    void sweep();

    struct Entry {
        std::weak_ptr<const void> row;
        Text text;
    };
    mutable std::mutex mutex_;
    std::unordered_map<const void*, Entry> entries_;
    std::size_t sweep_at_ = 1024;
};

}  // namespace ballast::api

#pragma once
// A tournament over numbered contestants: who has the highest key is known after O(log n) for each changed key, and
// the contestants come in the order of their keys without a sort (Knuth, TAOCP 3, 5.2.3). Decides nothing about hosts.
// Pure; a value.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ballast::scheduler {

class Tournament {
  public:
    using Key = std::int64_t;
    static constexpr Key out = std::numeric_limits<Key>::min();  ///< does not take part

    /// Makes room for this many contestants; those there were keep their keys.
    void grow(std::size_t contestants) {
        if (contestants <= leaves()) return;
        const std::size_t next = std::bit_ceil(contestants);
        std::vector<Key> keys(2 * next, out);
        std::copy(keys_.begin() + static_cast<std::ptrdiff_t>(leaves()), keys_.end(),
                  keys.begin() + static_cast<std::ptrdiff_t>(next));
        keys_ = std::move(keys);
        for (std::size_t node = next - 1; node > 0; --node)
            keys_[node] = std::max(keys_[2 * node], keys_[2 * node + 1]);
    }

    void set(std::size_t contestant, Key key) {
        std::size_t node = leaves() + contestant;
        keys_[node] = key;
        while (node > 1) {
            node /= 2;
            const Key best = std::max(keys_[2 * node], keys_[2 * node + 1]);
            if (keys_[node] == best) break;
            keys_[node] = best;
        }
    }

    [[nodiscard]] Key key(std::size_t contestant) const { return keys_[leaves() + contestant]; }

    /// Calls `visit(contestant, key)`, highest keys first; it returns the key below which nobody interests it any more.
    template <class Visit>
    void visit_best_first(Visit&& visit) const {
        if (keys_.empty()) return;
        Key floor = out + 1;
        std::vector<std::pair<Key, std::size_t>> waiting{{keys_[1], 1}};
        std::vector<std::size_t> equal;  // subtrees whose best has the key of this round: ties need no heap
        while (!waiting.empty()) {
            std::ranges::pop_heap(waiting);
            const auto [round, top] = waiting.back();
            waiting.pop_back();
            if (round < floor) return;
            equal.push_back(top);
            while (!equal.empty()) {
                const std::size_t node = equal.back();
                equal.pop_back();
                if (node >= leaves()) {
                    floor = std::max(floor, visit(node - leaves(), round));
                    continue;
                }
                for (const std::size_t child : {2 * node, 2 * node + 1}) {
                    if (keys_[child] == round) {
                        equal.push_back(child);
                    } else if (keys_[child] >= floor) {
                        waiting.emplace_back(keys_[child], child);
                        std::ranges::push_heap(waiting);
                    }
                }
            }
        }
    }

  private:
    [[nodiscard]] std::size_t leaves() const { return keys_.size() / 2; }

    std::vector<Key> keys_;  // a heap-ordered tree: node n above 2n and 2n + 1, the leaves last
};

}  // namespace ballast::scheduler

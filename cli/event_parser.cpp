#include <utility>

#include "cli/transport.h"

namespace ballast::cli {

bool EventParser::feed(std::string_view text, const std::function<bool(const ServerEvent&)>& on_event) {
    rest_ += text;
    std::size_t begin = 0;
    while (true) {
        const auto end = rest_.find('\n', begin);
        if (end == std::string::npos) break;
        std::string_view one = std::string_view(rest_).substr(begin, end - begin);
        if (one.ends_with('\r')) one.remove_suffix(1);
        begin = end + 1;
        if (!line(one, on_event)) return false;
    }
    rest_.erase(0, begin);
    return true;
}

bool EventParser::line(std::string_view line, const std::function<bool(const ServerEvent&)>& on_event) {
    if (line.empty()) {
        if (!std::exchange(any_data_, false)) {
            event_.kind.clear();
            return true;
        }
        const ServerEvent complete = std::exchange(event_, ServerEvent{.id = event_.id, .kind = {}, .data = {}});
        return on_event(complete);
    }
    const auto colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "id") event_.id = value;
    if (field == "event") event_.kind = value;
    if (field == "data") {
        if (any_data_) event_.data += '\n';
        event_.data += value;
        any_data_ = true;
    }
    return true;
}

}  // namespace ballast::cli

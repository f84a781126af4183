#include "daemon/log.h"

#include <memory>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "core/units.h"

namespace ballast::daemon {
namespace {

spdlog::level::level_enum level_of(config::LogLevel level) {
    switch (level) {
        case config::LogLevel::trace:
            return spdlog::level::trace;
        case config::LogLevel::debug:
            return spdlog::level::debug;
        case config::LogLevel::info:
            return spdlog::level::info;
        case config::LogLevel::warning:
            return spdlog::level::warn;
        case config::LogLevel::error:
            return spdlog::level::err;
    }
    std::unreachable();
}

/// {"time":…,"level":…,"message":…}: quoting is left to the JSON library.
class JsonFormatter final : public spdlog::formatter {
  public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const auto level = spdlog::level::to_string_view(message.level);
        const nlohmann::ordered_json line{{"time", to_string(std::chrono::floor<Milliseconds>(message.time))},
                                          {"level", std::string(level.data(), level.size())},
                                          {"message", std::string(message.payload.data(), message.payload.size())}};
        const std::string text = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
        out.append(text.data(), text.data() + text.size());
    }
    [[nodiscard]] std::unique_ptr<formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

std::shared_ptr<spdlog::sinks::sink> make_sink(const std::string& file) {
    if (file.empty()) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
}

}  // namespace

Result<void> set_up_log(const config::LogConfig& config) {
    try {
        auto logger = std::make_shared<spdlog::logger>("ballastd", make_sink(config.file));
        logger->set_level(level_of(config.level));
        logger->flush_on(spdlog::level::info);
        if (config.format == config::LogFormat::json)
            logger->set_formatter(std::make_unique<JsonFormatter>());
        else
            logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
        spdlog::set_default_logger(std::move(logger));
        return {};
    } catch (const spdlog::spdlog_ex& error) {
        return fail(Code::failed_precondition, "log.file: '{}' can't be written: {}", config.file, error.what());
    }
}

}  // namespace ballast::daemon

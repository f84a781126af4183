// ballastd: reads the configuration, starts what wire.cpp puts together, tells systemd, and stops in order.
#include <cstdlib>
#include <sys/signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include "daemon/config/config.h"
#include "daemon/log.h"
#include "daemon/wire.h"

namespace {

namespace asio = boost::asio;
using ballast::Result;
using ballast::config::Config;

struct Options {
    std::string file;
    std::vector<std::string> sets;
    bool print_sample = false;
    bool print_config = false;
    std::string token_name = "recovered";
    ballast::daemon::SimulateOptions simulate;  ///< its file empty: real hosts
};

Result<Config> load(const Options& options) {
    ballast::config::Sources sources{
        .file = {}, .environment = ballast::config::process_environment(), .sets = options.sets};
    if (!options.file.empty()) sources.file = options.file;
    return ballast::config::load(sources);
}

int complain(const ballast::Error& error) {
    fmt::print(stderr, "ballastd: {}\n", error.chain());
    return EXIT_FAILURE;
}

/// Ends the process when stopping in order takes too long: the journal is synced with each commit, so nothing is lost
/// by it.
void end_after(asio::steady_timer& timer, std::chrono::milliseconds limit) {
    timer.expires_after(limit);
    timer.async_wait([](const boost::system::error_code& error) {
        if (error) return;
        spdlog::warn("stopping took too long; ending now, the journal is complete");
        ::_exit(EXIT_SUCCESS);
    });
}

int serve(const Config& config, const ballast::daemon::SimulateOptions& simulate) {
    asio::io_context loop(1);
    const auto started =
        ballast::daemon::start(loop, config, simulate.file.empty() ? std::nullopt : std::optional(simulate));
    if (!started) return complain(started.error());
    const auto daemon = *started;
    asio::steady_timer limit(loop);
    asio::signal_set signals(loop, SIGTERM, SIGINT);
    signals.async_wait([&](const boost::system::error_code& error, int number) {
        if (error) return;
        spdlog::info("stopping on signal {}", number);
        sd_notify(0, "STOPPING=1");
        end_after(limit, config.jobs.stop_timeout);
        asio::co_spawn(loop, daemon->stop(), [&](const std::exception_ptr&) {
            spdlog::info("stopped");
            spdlog::default_logger()->flush();
            ::_exit(EXIT_SUCCESS);  // overdue calls to hung hosts are never joined (ARCHITECTURE.md 2)
        });
    });
    spdlog::info("ballastd {} serves {} (key {})", BALLAST_VERSION, daemon->url(), daemon->fingerprint());
    sd_notifyf(0, "READY=1\nSTATUS=serving %s", daemon->url().c_str());
    loop.run();
    return EXIT_SUCCESS;
}

int recover(const Options& options) {
    const auto config = load(options);
    if (!config) return complain(config.error());
    const auto secret = ballast::daemon::recover_token(*config, options.token_name);
    if (!secret) return complain(secret.error());
    fmt::print("{}\n", *secret);
    return EXIT_SUCCESS;
}

int run(const Options& options) {
    if (options.print_sample) {
        fmt::print("{}", ballast::config::sample());
        return EXIT_SUCCESS;
    }
    const auto config = load(options);
    if (!config) return complain(config.error());
    if (options.print_config) {
        fmt::print("{}", ballast::config::render(*config));
        return EXIT_SUCCESS;
    }
    if (const auto log = ballast::daemon::set_up_log(config->log); !log) return complain(log.error());
    ::signal(SIGPIPE, SIG_IGN);
    return serve(*config, options.simulate);
}

}  // namespace

int main(int count, char** words) {
    Options options;
    CLI::App app("ballastd runs a cluster of libvirt hosts.", "ballastd");
    app.set_version_flag("--version", std::string("ballastd ") + BALLAST_VERSION);
    app.add_option("--config", options.file,
                   "Configuration file; without it /etc/ballast/ballastd.toml is read if it exists");
    app.add_option("--set", options.sets, "Sets one key: --set server.port=8471")->allow_extra_args(false);
    app.add_flag("--print-sample-config", options.print_sample, "Prints every key with its documentation and default");
    app.add_flag("--print-config", options.print_config, "Prints the configuration that counts");
    auto* simulate = app.add_option("--simulate", options.simulate.file,
                                    "Serves the cluster that this cluster.json describes, in memory; no libvirt host");
    app.add_option("--speed", options.simulate.speed, "Its seconds per real one, 0.01 to 10000 (default 1)")
        ->needs(simulate);
    app.add_option("--traces", options.simulate.traces, "Folder of the PlanetLab traces that its loads ask for")
        ->needs(simulate);
    CLI::App* token = app.add_subcommand("token", "Tokens, on this machine, while the daemon does not run");
    CLI::App* recovery = token->add_subcommand("recover", "Makes an admin token and prints it once");
    recovery->add_option("--name", options.token_name, "The token's name");
    token->require_subcommand(1);
    CLI11_PARSE(app, count, words);
    if (recovery->parsed()) return recover(options);
    return run(options);
}

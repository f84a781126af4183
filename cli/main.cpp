// `ballast`: the world around the process, then run().

#include <chrono>
#include <csignal>
#include <iostream>
#include <random>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/app.h"

namespace {

std::size_t terminal_width() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

std::map<std::string, std::string> environment() {
    std::map<std::string, std::string> variables;
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
        const std::string_view line(*at);
        if (const auto equals = line.find('='); equals != std::string_view::npos)
            variables.emplace(line.substr(0, equals), line.substr(equals + 1));
    }
    return variables;
}

std::string random_key() {
    std::random_device device;
    return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

std::string read_line() {
    std::string line;
    std::getline(std::cin, line);
    return line;
}

}  // namespace

int main(int count, char** words) {
    std::signal(SIGPIPE, SIG_IGN);
    ballast::cli::World world;
    world.environment = environment();
    world.out = &std::cout;
    world.err = &std::cerr;
    world.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
    world.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
    world.in_is_terminal = ::isatty(STDIN_FILENO) == 1;
    world.width = terminal_width();
    world.read_line = read_line;
    world.now = [] { return std::chrono::floor<ballast::Milliseconds>(std::chrono::system_clock::now()); };
    world.random_key = random_key;
    world.connect = ballast::cli::make_transport;
    return ballast::cli::run(std::vector<std::string>(words + 1, words + count), std::move(world));
}

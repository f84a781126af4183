// The child of kill_test: writes without end from several coroutines and says on its standard output what has been
// acknowledged, one "<vm> <seq>" a line. Its parent kills it.
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "daemon/store/store.h"
#include "tests/support/builders.h"

namespace {

using namespace ballast;

constexpr int writers = 8;

boost::asio::awaitable<void> write_without_end(std::shared_ptr<store::Store> store, int writer, int round) {
    for (int i = 0;; ++i) {
        const std::string name = fmt::format("vm-{}-{}-{}", round, writer, i);
        store::Change change = [name](store::Transaction& transaction) {
            transaction.put(test::a_vm(name).build(), {"vm.created", ""});
            transaction.put(test::a_host("shared-" + name.substr(name.size() - 1)).build(), {"host.added", ""});
            return Result<void>();
        };
        const auto written = co_await store->write(store::WriteContext{}, std::move(change));
        if (!written) ::_exit(2);
        const std::string line = fmt::format("{} {}\n", name, written->seq);
        if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(3);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 1;
    auto opened = store::open_store({.path = arguments[1], .retention = {}, .base_every = 100},
                                    std::make_shared<SystemClock>(), std::shared_ptr<IdSource>(make_random_ids()));
    if (!opened) return 1;
    boost::asio::io_context io;
    for (int writer = 0; writer < writers; ++writer)
        boost::asio::co_spawn(io, write_without_end(*opened, writer, std::atoi(arguments[2])),
                              [](std::exception_ptr) { ::_exit(4); });
    io.run();
}

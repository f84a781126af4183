#include "tests/unit/api/fixture.h"

#include <stdlib.h>

#include <spdlog/spdlog.h>

namespace ballast::api {

std::shared_ptr<store::Store> ApiTest::open_store_in(const std::filesystem::path& where) const {
    store::StoreOptions store_options;
    store_options.path = (where / "ballast.db").string();
    return *store::open_store(store_options, clock, services.ids);
}

ApiTest::ApiTest() {
    spdlog::set_level(spdlog::level::off);
    std::string pattern = (std::filesystem::temp_directory_path() / "ballast-api-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    services.clock = clock;
    services.ids = std::make_shared<SeededIds>(7);
    services.store = open_store_in(folder);
    services.hosts = std::make_shared<NoHosts>();
    services.progress = std::make_shared<jobs::ProgressHub>();
    services.check_uri = [](std::string_view uri) -> Result<void> {
        if (uri.starts_with("qemu") || uri.starts_with("test:")) return {};
        return fail(Code::invalid_argument, "no driver speaks '{}'; known schemes are qemu, test", uri);
    };
    services.upload_folder = (folder / "uploads").string();
    services.limits.upload_disk_reserve = Bytes(0);
    options.listen = {{.kind = Endpoint::Kind::tls}};
    options.tls.certificate = (folder / "api.crt").string();
    options.tls.key = (folder / "api.key").string();
    thread_ = std::thread([this] { loop.run(); });
    admin = make_token("root", Right::admin);
}

ApiTest::~ApiTest() {
    if (server) stop();
    services.store->close();
    guard_.reset();
    loop.stop();
    thread_.join();
    std::filesystem::remove_all(folder);
}

void ApiTest::start() {
    std::promise<void> started;
    boost::asio::post(loop, [&] {
        auto made = start_server(loop.get_executor(), services, options);
        if (made)
            server = *made;
        else
            ADD_FAILURE() << made.error().chain();
        started.set_value();
    });
    started.get_future().wait();
}

void ApiTest::stop(Milliseconds within) {
    boost::asio::co_spawn(loop, server->stop(within), boost::asio::use_future).get();
    std::promise<void> gone;
    boost::asio::post(loop, [&] {
        server.reset();
        gone.set_value();
    });
    gone.get_future().wait();
}

void ApiTest::write(store::Change change) {
    auto written = await(services.store->write({.actor = "test"}, std::move(change)));
    ASSERT_TRUE(written) << written.error().chain();
}

std::string ApiTest::make_token(const std::string& name, Right right, std::optional<Timestamp> expires) {
    const auto secret = std::make_shared<std::string>();
    write([=](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(const auto made, api::make_token(transaction, name, right, expires));
        *secret = made.secret;
        return {};
    });
    return *secret;
}

void ApiTest::eventually(const std::function<bool()>& condition, std::string_view what) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!condition()) {
        ASSERT_LT(std::chrono::steady_clock::now(), end) << "did not come true: " << what;
        std::promise<void> turned;  // what is waited for is done on the loop, or looked for after its next turn
        boost::asio::post(loop, [&] { turned.set_value(); });
        turned.get_future().wait();
    }
}

void ApiTest::put(Host host) {
    write([host](store::Transaction& transaction) -> Result<void> {
        transaction.put(host, {"host.added", "test"});
        return {};
    });
}

void ApiTest::put(Vm vm) {
    write([vm](store::Transaction& transaction) -> Result<void> {
        transaction.put(vm, {"vm.changed", "test"});
        return {};
    });
}

}  // namespace ballast::api

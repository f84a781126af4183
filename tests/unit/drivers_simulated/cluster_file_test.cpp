// cluster.json: what it makes, and what it refuses, with the path of what is wrong.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "drivers/simulated/cluster.h"
#include "tests/support/run.h"

namespace ballast::testing {
namespace {

namespace sim = drivers::simulated;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string complaint(std::string_view text) {
    const auto parsed = sim::parse_cluster(text);
    if (parsed) return "nothing is wrong";
    EXPECT_EQ(parsed.error().code(), Code::invalid_argument);
    return parsed.error().message();
}

std::string with_vm(const std::string& keys) {
    return R"({"hosts":[{"name":"h","count":2}],"vms":[{"name":"web",)" + keys + "}]}";
}

std::string with_failure(const std::string& keys) {
    return R"({"hosts":[{"name":"h","count":2}],"vms":[{"name":"web"}],"failures":[{)" + keys + "}]}";
}

sim::SimulatedCluster built(std::string_view text, const sim::BuildOptions& options = {}) {
    const auto file = sim::parse_cluster(text);
    EXPECT_TRUE(file) << file.error().message();
    auto cluster = sim::build_cluster(*file, options);
    EXPECT_TRUE(cluster) << cluster.error().message();
    return *std::move(cluster);
}

class Folder {
  public:
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ballast-traces-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name) << text;
    }
    [[nodiscard]] std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

TEST(ClusterFile, MakesHostsAndVmsInGroupsByName) {
    const auto cluster = built(R"({"hosts":[{"name":"h","count":3,"rack_size":2},{"name":"old","labels":{"cpu":"old"}}],
                                   "vms":[{"name":"web","count":4,"disk":"2G","labels":{"app":"web"}},
                                          {"name":"db","hosts":["old"],"running":false}]})");
    std::vector<std::string> hosts;
    for (const auto& host : cluster.layout.hosts) hosts.push_back(host.name);
    EXPECT_THAT(hosts, ElementsAre("h1", "h2", "h3", "old"));
    EXPECT_EQ(cluster.layout.hosts[2].settings.labels.at("rack"), "r2");
    EXPECT_EQ(cluster.layout.hosts[3].settings.labels.at("cpu"), "old");
    ASSERT_THAT(cluster.layout.vms, SizeIs(5));
    for (const auto& vm : cluster.layout.vms) {
        const auto seen = cluster.world->find_domain(vm.host, vm.id);
        ASSERT_TRUE(seen) << vm.name;
        EXPECT_EQ(seen->state == DomainState::running, vm.running) << vm.name;
    }
    EXPECT_EQ(cluster.layout.vms[0].spec.disks.at(0).path, "/srv/shared/web1.qcow2");
    EXPECT_EQ(cluster.layout.vms[4].host, "old");
}

TEST(ClusterFile, MakesTheSameClusterOfTheSameSeedAndAnotherOfAnother) {
    const auto ids = [](int seed) {
        std::string all;
        for (const auto& vm : built(fmt::format(R"({{"seed":{},"hosts":[{{"name":"h","count":9}}],
                                   "vms":[{{"name":"web","count":30,"spread":"random","vary":0.5}}]}})",
                                                seed))
                                  .layout.vms)
            all += vm.id.str() + "@" + vm.host + " ";
        return all;
    };
    EXPECT_EQ(ids(4), ids(4));
    EXPECT_NE(ids(4), ids(5));
}

TEST(ClusterFile, AnUnevenSpreadFillsTheFirstHostsMost) {
    std::map<std::string, int> on;
    for (const auto& vm : built(R"({"hosts":[{"name":"h","count":4}],
                                    "vms":[{"name":"web","count":400,"spread":"uneven"}]})")
                              .layout.vms)
        ++on[vm.host];
    EXPECT_GT(on["h1"], on["h2"]);
    EXPECT_GT(on["h2"], on["h3"]);
    EXPECT_GT(on["h1"], 3 * on["h4"]);
}

TEST(ClusterFile, NamesThePathOfWhatItDoesNotUnderstand) {
    EXPECT_THAT(complaint("{"), HasSubstr("JSON"));
    EXPECT_THAT(complaint("{}"), StartsWith("hosts: a cluster needs"));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","cpu":4}]})"), StartsWith("hosts[0].cpu: unknown key"));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","memory":"much"}]})"), StartsWith("hosts[0].memory: "));
    EXPECT_THAT(complaint(with_vm(R"("load":{"pattern":"diurnl"})")),
                AllOf(StartsWith("vms[0].load.pattern: "), HasSubstr("did you mean 'diurnal'?")));
    EXPECT_THAT(complaint(with_vm(R"("vcpus":"two")")), StartsWith("vms[0].vcpus: expected a whole number"));
}

TEST(ClusterFile, RefusesFiguresThatNothingCanHave) {
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","count":0}]})"), StartsWith("hosts[0].count: 0 is not from 1"));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","count":2000000000}]})"), StartsWith("hosts[0].count: "));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","cpus":-1}]})"), StartsWith("hosts[0].cpus: -1"));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","link":0}]})"), StartsWith("hosts[0].link: "));
    EXPECT_THAT(complaint(with_vm(R"("load":{"cpu":1.5})")), StartsWith("vms[0].load.cpu: 1.5 is not a share"));
    EXPECT_THAT(complaint(with_vm(R"("load":{"noise":-0.1})")), StartsWith("vms[0].load.noise: "));
    EXPECT_THAT(complaint(with_vm(R"("load":{"peak_hour":24})")), StartsWith("vms[0].load.peak_hour: "));
    EXPECT_THAT(complaint(with_vm(R"("load":{"period_s":0})")), StartsWith("vms[0].load.period: "));
    EXPECT_THAT(complaint(with_vm(R"("memory":"1G","guest":{"working_set":"2G"})")),
                StartsWith("vms[0].guest: the guest uses 2 GiB"));
    EXPECT_THAT(complaint(with_vm(R"("guest":{"dirty_rate":-5})")), StartsWith("vms[0].guest.dirty_rate: "));
}

TEST(ClusterFile, RefusesNamesTwiceAndNamesThatNothingBears) {
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h","count":2},{"name":"h2"}]})"),
                StartsWith("hosts[1].name: there are two hosts named 'h2'"));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"a b"}]})"), StartsWith("hosts[0].name: "));
    EXPECT_THAT(complaint(with_vm(R"("hosts":["h","h3"])")), StartsWith("vms[0].hosts[1]: there is no host 'h3'"));
    EXPECT_THAT(complaint(R"({"pools":[],"hosts":[{"name":"h"}],"vms":[{"name":"w","disk":"1G"}]})"),
                StartsWith("vms[0].disk: there is no pool"));
    EXPECT_THAT(complaint(R"({"pools":[{"path":"srv"}],"hosts":[{"name":"h"}]})"), StartsWith("pools[0].path: "));
    EXPECT_THAT(complaint(R"({"hosts":[{"name":"h"}],"links":[{"from":"h","to":"g","bandwidth":1}]})"),
                StartsWith("links[0].to: there is no host 'g'"));
}

TEST(ClusterFile, RefusesFailuresThatCannotHappen) {
    EXPECT_THAT(complaint(with_failure(R"("what":"crash","host":"h9")")), StartsWith("failures[0].host: there is no"));
    EXPECT_THAT(complaint(with_failure(R"("what":"cut","host":"h1")")), StartsWith("failures[0].peer: "));
    EXPECT_THAT(complaint(with_failure(R"("what":"kill_qemu","vm":"web2")")),
                AllOf(StartsWith("failures[0].vm: "), HasSubstr("did you mean 'web'?")));
    EXPECT_THAT(complaint(with_failure(R"("what":"crash","host":"h1","every_s":60,"lasts_s":60)")),
                StartsWith("failures[0].lasts: "));
    EXPECT_THAT(complaint(with_failure(R"("what":"crash","every_s":60,"mean_between_s":60,"host":"h1")")),
                HasSubstr("not both"));
    EXPECT_THAT(complaint(with_failure(R"("what":"crash","host":"h1","after_s":-1)")),
                StartsWith("failures[0].after: "));
}

TEST(ClusterFile, NamesTheFileThatCannotBeReadOrIsWrong) {
    EXPECT_EQ(sim::read_cluster_file("/nowhere/cluster.json").error().code(), Code::not_found);
    const Folder folder;
    folder.write("cluster.json", R"({"hosts":[{"nam":"h"}]})");
    const auto read = sim::read_cluster_file(folder.path() + "/cluster.json");
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message(), HasSubstr("cluster.json: hosts[0].nam: unknown key"));
}

/// Every key that stands in a list of the file's types.
void add_keys(const Json& json, std::set<std::string>& keys) {
    if (json.is_object() && json.contains("properties"))
        for (const auto& [key, value] : json["properties"].items()) keys.insert(key);
    for (const auto& part : json)
        if (part.is_structured()) add_keys(part, keys);
}

TEST(ClusterFile, IsDescribedKeyByKeyAndItsExampleIsValid) {
    const std::filesystem::path docs = std::filesystem::path(BALLAST_SOURCE_DIR) / "docs";
    const auto example = sim::read_cluster_file((docs / "examples/cluster.json").string());
    ASSERT_TRUE(example) << example.error().message();
    std::ifstream in(docs / "howto/simulate.md");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    std::set<std::string> keys;
    add_keys(sim::cluster_file_schema(), keys);
    EXPECT_GT(keys.size(), 50U);
    for (std::string key : keys) {
        for (const char* unit : {"_bytes_per_second", "_bytes", "_ms", "_s"})
            if (key.ends_with(unit)) key.resize(key.size() - std::string_view(unit).size());
        EXPECT_THAT(text, HasSubstr("`" + key + "`")) << "docs/howto/simulate.md does not name it";
    }
}

TEST(Traces, AreReadFromAFolderAndItsFoldersAndFollowed) {
    const Folder folder;
    folder.write("day/vm_a", "10\n20\n");
    folder.write("day/README.md", "not a trace");
    folder.write("vm_b", "30\n");
    const auto traces = sim::read_traces(folder.path());
    ASSERT_TRUE(traces) << traces.error().message();
    ASSERT_THAT(*traces, SizeIs(2));
    EXPECT_THAT(*traces->front(), ElementsAre(0.1, 0.2));
    const sim::CpuLoad load{.pattern = sim::LoadPattern::planetlab, .cpu = 1, .trace = traces->front()};
    EXPECT_DOUBLE_EQ(sim::share_at(load, sim::Instant(std::chrono::seconds(299))), 0.1);
    EXPECT_DOUBLE_EQ(sim::share_at(load, sim::Instant(std::chrono::seconds(300))), 0.2);
    EXPECT_DOUBLE_EQ(sim::share_at(load, sim::Instant(std::chrono::seconds(600))), 0.1);
}

TEST(Traces, NameFileAndLineOfWhatIsNoPercentage) {
    const Folder folder;
    EXPECT_EQ(sim::read_traces(folder.path() + "/none").error().code(), Code::not_found);
    EXPECT_THAT(sim::read_traces(folder.path()).error().message(), HasSubstr("tar -xzf"));
    for (const char* bad : {"110", "-1", "nan", "ten", ""}) {
        folder.write("vm", fmt::format("10\n{}\n20\n", bad));
        EXPECT_THAT(sim::read_traces(folder.path()).error().message(), HasSubstr("vm:2: ")) << bad;
    }
}

TEST(Traces, AreAskedForWhereALoadNeedsThem) {
    const auto file = sim::parse_cluster(with_vm(R"("load":{"pattern":"planetlab"})"));
    ASSERT_TRUE(file);
    const auto cluster = sim::build_cluster(*file);
    ASSERT_FALSE(cluster);
    EXPECT_THAT(cluster.error().message(), HasSubstr("'web'"));
}

}  // namespace
}  // namespace ballast::testing

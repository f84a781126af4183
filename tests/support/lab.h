#pragma once
// A cluster in a box for tests: `lab/lab up` in the constructor, `down` in the destructor. Hosts are h1, h2, … Needs
// root. Thread rule: one thread at a time per lab; each call runs `lab/lab` and waits for it.

#include <memory>
#include <string>
#include <vector>

namespace ballast::testing {

struct LabHost {
    std::string name;
    std::string uri;      ///< for this process (a Unix socket)
    std::string tcp_uri;  ///< for a client inside the lab's network
    std::string peer_uri;
    std::string migration_address;
    std::string host_uuid;
    std::string state;  ///< up | stopped | down
    std::string netns;
    std::string local_pool_backing;
    int libvirtd_pid = 0;
    std::vector<int> qemu_pids;
};

struct LabGuest {
    std::string kernel;
    std::string initrd;
    std::string image;  ///< a small empty qcow2 disk
    std::string cmdline;
};

class Lab {
  public:
    /// Brings a lab up (removing what an earlier run of the same name left). Throws std::runtime_error with the lab's
    /// own words when it can't.
    [[nodiscard]] static std::unique_ptr<Lab> up(const std::string& name, int hosts);
    Lab(const Lab&) = delete;
    Lab& operator=(const Lab&) = delete;
    ~Lab();

    [[nodiscard]] const LabHost& host(std::size_t index) const { return hosts_.at(index); }
    [[nodiscard]] std::size_t size() const { return hosts_.size(); }
    [[nodiscard]] const std::string& shared_dir() const { return shared_dir_; }
    [[nodiscard]] const std::string& console_dir() const { return console_dir_; }
    /// The tiny guest, built when it is not cached.
    [[nodiscard]] LabGuest guest() const;

    /// Reads pids and states again.
    void refresh();
    void stop(std::size_t host) { act("stop", host); }  ///< SIGSTOP of its libvirtd
    void cont(std::size_t host) { act("cont", host); }
    void cut(std::size_t host) { act("cut", host); }
    void cut_silently(std::size_t host) { act("cut", host, "--silent"); }
    void heal(std::size_t host) { act("heal", host); }
    void slow(std::size_t host, const std::string& rate) { act("slow", host, rate); }
    void crash(std::size_t host) { act("crash", host); }
    void crash_libvirtd(std::size_t host) { act("crash", host, "--libvirtd-only"); }  ///< its QEMUs go on
    void revive(std::size_t host) { act("revive", host); }
    /// virsh on that host; its output. Throws when virsh fails.
    std::string virsh(std::size_t host, const std::string& words) const;

  private:
    explicit Lab(std::string name) : name_(std::move(name)) {}
    void act(const std::string& verb, std::size_t host, const std::string& more = {});

    std::string name_;
    std::string shared_dir_;
    std::string console_dir_;
    std::vector<LabHost> hosts_;
};

}  // namespace ballast::testing

#include "tests/unit/migration/ownership_model.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include <boost/describe/enum_to_string.hpp>
#include <fmt/format.h>

namespace ballast::migration::model {
namespace {

bool runs(TargetQemu t) {
    return t == TargetQemu::running || t == TargetQemu::pulling || t == TargetQemu::broken;
}
bool stands(SourceQemu s) {
    return s == SourceQemu::paused || s == SourceQemu::switched || s == SourceQemu::broken;
}
bool is_active(SourceQemu s) {
    return s == SourceQemu::running || stands(s);
}
bool s_serves(const World& w) {
    return w.s_host && w.s_libvirtd;
}
bool t_serves(const World& w) {
    return w.t_host && w.t_libvirtd;
}

constexpr std::uint8_t silent = 0;
constexpr std::uint8_t dead = 1;
constexpr std::uint8_t first_answer = 2;

std::uint8_t read_source(const World& w) {
    if (w.s_dead) return dead;
    if (!s_serves(w) || !w.s_link) return silent;
    return static_cast<std::uint8_t>(first_answer + 2 * static_cast<int>(w.s) + (w.job != Job::none ? 1 : 0));
}

std::uint8_t read_target(const World& w) {
    if (w.t_dead) return dead;
    if (!t_serves(w) || !w.t_link) return silent;
    return static_cast<std::uint8_t>(first_answer + static_cast<int>(w.t));
}

SourceSays source_says(std::uint8_t seen) {
    SourceSays says;
    says.reach = seen == silent ? Reach::silent : seen == dead ? Reach::confirmed_dead : Reach::answered;
    if (seen < first_answer) return says;
    const auto s = static_cast<SourceQemu>((seen - first_answer) / 2);
    constexpr DomainState states[] = {DomainState::running,         DomainState::paused,   DomainState::postcopy_source,
                                      DomainState::postcopy_failed, DomainState::shut_off, DomainState::unknown};
    says.present = says.persistent = s != SourceQemu::absent;
    says.state = states[static_cast<int>(s)];
    says.job_active = (seen - first_answer) % 2 == 1;
    return says;
}

TargetSays target_says(std::uint8_t seen) {
    TargetSays says;
    says.reach = seen == silent ? Reach::silent : seen == dead ? Reach::confirmed_dead : Reach::answered;
    if (seen < first_answer) return says;
    const auto t = static_cast<TargetQemu>(seen - first_answer);
    constexpr DomainState states[] = {DomainState::unknown,         DomainState::incoming,        DomainState::running,
                                      DomainState::postcopy_target, DomainState::postcopy_failed, DomainState::shut_off,
                                      DomainState::paused};
    says.present = t != TargetQemu::absent;
    says.persistent = says.present && t != TargetQemu::incoming;
    says.state = states[static_cast<int>(t)];
    return says;
}

/// One state's way into the next ones.
class Steps {
  public:
    Steps(const World& world, const Options& options) : w_(world), options_(options) {}

    std::vector<Edge> all() {
        hypervisors();
        post_copy();
        acts();
        if (w_.ended == Ended::no) {
            daemon();
            if (w_.faults < options_.faults) faults();
        }
        repairs();
        return std::move(edges_);
    }

  private:
    template <class Change>
    void step(bool possible, const char* what, Change change) {
        if (!possible) return;
        Edge edge{w_, what, false, {}};
        edge.violation = change(edge.to);
        edges_.push_back(std::move(edge));
    }
    /// Most steps can do nothing wrong by themselves.
    template <class Change>
    void happens(bool possible, const char* what, Change change) {
        step(possible, what, [&](World& n) {
            change(n);
            return std::string();
        });
    }
    template <class Change>
    void fault(bool possible, const char* what, Change change) {
        if (!possible) return;
        Edge edge{w_, what, true, {}};
        change(edge.to);
        ++edge.to.faults;
        edges_.push_back(std::move(edge));
    }

    /// The source's libvirtd gives up: it runs on if it may, else both halves are kept.
    static void source_gives_up(World& n) {
        n.job = Job::none;
        if (n.s == SourceQemu::paused && !n.was_paused) n.s = SourceQemu::running;
        if (n.s == SourceQemu::switched) n.s = SourceQemu::broken;
    }

    void hypervisors() {
        const bool may_start = w_.s == SourceQemu::running || (w_.was_paused && w_.s == SourceQemu::paused);
        const bool peers = w_.peer_link && s_serves(w_) && t_serves(w_);
        const bool incoming = w_.t == TargetQemu::incoming;
        happens(w_.call && peers && may_start && w_.t == TargetQemu::absent, "migration starts",
                [](World& n) { n.call = false, n.t = TargetQemu::incoming, n.job = Job::push; });
        happens(w_.call, "the migrate call is lost", [](World& n) { n.call = false; });
        const bool pushing = w_.job == Job::push;
        happens(pushing && w_.s == SourceQemu::running && incoming && w_.peer_link, "source stops for the last copy",
                [](World& n) { n.s = SourceQemu::paused; });
        happens(pushing && w_.s == SourceQemu::paused && incoming && w_.peer_link && s_serves(w_),
                "all sent, finish called", [](World& n) { n.job = Job::wait, n.finish = true; });
        happens(pushing && s_serves(w_) && (!w_.peer_link || !incoming || !t_serves(w_)), "push fails",
                source_gives_up);
        finish_and_answer();
        const bool unattended = w_.job == Job::none || !w_.peer_link || !s_serves(w_);
        happens(incoming && t_serves(w_) && !(w_.switched && stands(w_.s)) && unattended,
                "target's libvirtd ends the incoming copy", [](World& n) { n.t = TargetQemu::absent; });
    }

    void finish_and_answer() {
        const bool waits = (w_.job == Job::wait || w_.job == Job::pull) && s_serves(w_);
        happens(w_.finish && w_.peer_link && t_serves(w_) && w_.t == TargetQemu::incoming, "finish: the target runs",
                [](World& n) {
                    n.finish = false, n.target_ran = !n.was_paused;
                    n.t = n.switched ? TargetQemu::pulling : n.was_paused ? TargetQemu::arrived : TargetQemu::running;
                    n.answer = !n.switched;
                });
        happens(w_.t == TargetQemu::arrived && t_serves(w_), "somebody resumes the VM on the target",
                [](World& n) { n.t = TargetQemu::running, n.target_ran = true; });
        happens(w_.finish && w_.peer_link && t_serves(w_) && w_.t != TargetQemu::incoming, "finish: there is no target",
                [&](World& n) {
                    n.finish = false;
                    if (waits) source_gives_up(n);
                });
        happens(w_.finish && (!w_.peer_link || !t_serves(w_) || !s_serves(w_)), "finish is lost", [&](World& n) {
            n.finish = false;
            if (waits) source_gives_up(n);
        });
        happens(w_.answer && w_.peer_link && w_.job == Job::wait && s_serves(w_), "answer: the source is ended",
                [](World& n) { n.answer = false, n.s = SourceQemu::off; });
        happens(w_.s == SourceQemu::off && w_.job == Job::wait && s_serves(w_), "the source is undefined",
                [](World& n) { n.s = SourceQemu::absent, n.job = Job::none; });
        const bool unheard = !w_.peer_link || !s_serves(w_) || !t_serves(w_) || w_.job != Job::wait;
        happens(w_.answer && unheard, "answer is lost", [&](World& n) {
            n.answer = false;
            if (n.job != Job::wait || !s_serves(n)) return;
            n.job = Job::none;
            if (n.s == SourceQemu::switched) n.s = SourceQemu::broken;
            if (n.s == SourceQemu::paused && !n.was_paused && options_.libvirt_resumes_on_lost_answer)
                n.s = SourceQemu::running;
        });
    }

    void post_copy() {
        happens(w_.switch_call && w_.job == Job::push && w_.s == SourceQemu::running && w_.t == TargetQemu::incoming &&
                    s_serves(w_) && w_.peer_link,
                "switch to post-copy", [](World& n) {
                    n.switch_call = false, n.switched = true, n.finish = true;
                    n.s = SourceQemu::switched, n.job = Job::pull;
                });
        happens(w_.switch_call, "the switch call is lost", [](World& n) { n.switch_call = false; });
        // libvirt refuses to abort what has switched; what has been sent completely is past aborting.
        happens(w_.abort_call && w_.job == Job::push && s_serves(w_), "abort", [](World& n) {
            n.abort_call = false;
            source_gives_up(n);
        });
        happens(w_.abort_call, "the abort comes to nothing", [](World& n) { n.abort_call = false; });
        const bool pulls = w_.t == TargetQemu::pulling;
        happens(pulls && w_.s == SourceQemu::switched && w_.peer_link, "all pulled", [](World& n) {
            n.t = TargetQemu::running, n.answer = n.job == Job::pull;
            if (n.job == Job::pull) n.job = Job::wait;
        });
        happens(pulls && (!w_.peer_link || w_.s != SourceQemu::switched), "pull breaks", [](World& n) {
            n.t = TargetQemu::broken, n.job = Job::none;
            if (n.s == SourceQemu::switched) n.s = SourceQemu::broken;
        });
        happens(w_.s == SourceQemu::switched && !runs(w_.t) && w_.t != TargetQemu::incoming && s_serves(w_) &&
                    w_.job == Job::pull && !w_.finish,
                "source sees that the target is gone", source_gives_up);
    }

    /// Acts of the daemon that reach their host now, or never.
    void acts() {
        if (w_.act == OwnershipAct::wait) return;
        happens(true, "the act is lost", finish_act);
        step(s_serves(w_) && w_.act == OwnershipAct::resume_source, "act: resume the source", [](World& n) {
            finish_act(n);
            if (stands(n.s)) n.s = SourceQemu::running;
            return n.was_paused ? std::string("a VM was resumed that somebody had paused") : std::string();
        });
        step(t_serves(w_) && w_.act == OwnershipAct::end_target_copy, "act: end the target's copy", [](World& n) {
            finish_act(n);
            const bool needed =
                runs(n.t) || n.t == TargetQemu::arrived || (n.t == TargetQemu::incoming && n.switched && stands(n.s));
            const bool only_one = n.t == TargetQemu::off && !is_active(n.s);
            n.t = TargetQemu::absent;
            return needed || only_one ? std::string("a copy that was needed was ended on the target") : std::string();
        });
        step(s_serves(w_) && w_.act == OwnershipAct::end_source_copy, "act: end the source's copy", [](World& n) {
            finish_act(n);
            // Of an owner whose QEMU dies afterwards the running state is lost, as any VM's.
            const bool spent = n.t == TargetQemu::running || n.t == TargetQemu::arrived ||
                               (n.t == TargetQemu::off && (n.target_ran || n.owner_is_target));
            const bool needed = n.s == SourceQemu::running || (stands(n.s) && !spent);
            if (is_active(n.s)) n.s = SourceQemu::off, n.job = Job::none;
            return needed ? std::string("a copy that was needed was ended on the source") : std::string();
        });
        step(s_serves(w_) && w_.act == OwnershipAct::undefine_source, "act: undefine the source", [](World& n) {
            finish_act(n);
            if (n.s == SourceQemu::off) n.s = SourceQemu::absent;
            return n.t == TargetQemu::absent || n.t == TargetQemu::incoming
                       ? std::string("the last definition of the VM was removed")
                       : std::string();
        });
        recover_and_restart();
    }

    static void finish_act(World& n) {
        n.act = OwnershipAct::wait;
        n.act_is_ours = false;
    }

    void recover_and_restart() {
        const bool halves = stands(w_.s) && w_.switched && (w_.t == TargetQemu::broken || w_.t == TargetQemu::incoming);
        happens(w_.act == OwnershipAct::post_copy_recover && halves && w_.peer_link && s_serves(w_) && t_serves(w_),
                "act: post-copy goes on", [](World& n) {
                    finish_act(n);
                    n.s = SourceQemu::switched, n.t = TargetQemu::pulling, n.job = Job::pull, n.target_ran = true;
                });
        const bool reaches = (s_serves(w_) || w_.s_dead) && (t_serves(w_) || w_.t_dead);
        step(w_.act == OwnershipAct::restart_from_disk && reaches, "act: restart from disk", [](World& n) {
            const std::string wrong = needlessly_lost(n);
            finish_act(n);
            if (is_active(n.s)) n.s = SourceQemu::off;
            n.t = TargetQemu::absent, n.job = Job::none, n.ended = Ended::restarted;
            return wrong;
        });
    }

    /// Giving up is right only when no copy, and no two halves of one, could have gone on.
    static std::string needlessly_lost(const World& n) {
        if (n.s == SourceQemu::running || n.t == TargetQemu::running) return "a running copy was given up";
        if (n.t == TargetQemu::arrived) return "a paused copy was given up";
        if (stands(n.s) && n.switched && (n.t == TargetQemu::pulling || n.t == TargetQemu::broken))
            return "a post-copy that could be resumed was given up";
        // Where the intent to switch is in the journal, a paused source may not be resumed: whether it switched is not
        // known.
        if (n.s == SourceQemu::paused && !n.target_ran && !n.may_have_switched && !n.declared_lost)
            return "a source that could be resumed was given up";
        return {};
    }

    void daemon() {
        if (!w_.daemon) return;
        happens(w_.job == Job::push && !w_.may_have_switched && !w_.abort_call && !w_.was_paused,
                "daemon: persist, then call post-copy",
                [](World& n) { n.may_have_switched = true, n.switch_call = true; });
        happens(w_.job == Job::push && !w_.may_have_switched && !w_.abort_call, "daemon: persist, then call abort",
                [](World& n) { n.abort_call = true; });
        const bool idle = w_.act == OwnershipAct::wait || !w_.act_is_ours;
        if (!idle || w_.call || w_.switch_call) return;
        read(w_.target_first);
        if (w_.reads == 0) read(true);
    }

    void read(bool target_first) {
        const bool source_is_next = (w_.reads % 2 == 0) != target_first;
        World n = w_;
        n.target_first = target_first;
        const std::uint8_t seen = source_is_next ? read_source(w_) : read_target(w_);
        std::uint8_t& before = source_is_next ? n.seen_s : n.seen_t;
        const bool again = w_.reads >= 2;
        if (again && before != seen) n.reads = w_.reads - 2;  // this side's reading is its first again
        before = seen;
        ++n.reads;
        if (!source_is_next && target_says(seen).state == DomainState::running) n.target_seen = true;
        if (n.reads % 2 == 0) return decide(n);
        edges_.push_back({n, "daemon: read one side", false, {}});
    }

    void decide(World n) {
        const JournalSays journal{.called = true,
                                  .may_have_switched = n.may_have_switched,
                                  .target_seen_running = n.target_seen,
                                  .was_paused = n.was_paused,
                                  .declared_lost = n.declared_lost,
                                  .owner = n.owner_is_target ? Side::target : Side::source,
                                  .epoch = 1,
                                  .settled = n.reads == 4};
        const Verdict verdict = judge(source_says(n.seen_s), target_says(n.seen_t), journal, options_.rules);
        const bool nothing = verdict.act == OwnershipAct::wait || verdict.act == OwnershipAct::ask_again ||
                             verdict.act == OwnershipAct::conflict;
        if (!nothing || n.reads == 4) n.seen_s = n.seen_t = n.reads = 0, n.target_first = false;
        if (verdict.act == OwnershipAct::keep_source)
            n.ended = Ended::on_source;
        else if (verdict.act == OwnershipAct::keep_target)
            n.ended = Ended::on_target;
        else if (verdict.act == OwnershipAct::adopt_target)
            n.owner_is_target = true, n.target_seen = true;
        else if (!nothing)
            n.act = verdict.act, n.act_is_ours = true;
        edges_.push_back({n, boost::describe::enum_to_string(verdict.act, "judged"), false, wrong_end(n)});
    }

    [[nodiscard]] std::string wrong_end(const World& n) const {
        if (n.ended == w_.ended) return {};
        if (n.ended == Ended::on_source && (runs(n.t) || n.t == TargetQemu::arrived || n.s == SourceQemu::absent ||
                                            (n.finish && n.t == TargetQemu::incoming)))
            return "ended on the source, which does not own the VM";
        if (n.ended == Ended::on_source && n.owner_is_target) return "ended on the source, the store names the target";
        const bool on_target = n.t == TargetQemu::running || n.t == TargetQemu::arrived || n.t == TargetQemu::off;
        if (n.ended == Ended::on_target && !on_target) return "ended on the target, which does not own the VM";
        return {};
    }

    void faults() {
        fault(w_.daemon, "FAULT daemon killed", [](World& n) {
            n.daemon = false, n.act_is_ours = false;
            n.seen_s = n.seen_t = n.reads = 0, n.target_first = false;
        });
        fault(s_serves(w_), "FAULT source's libvirtd killed", [](World& n) { n.s_libvirtd = false; });
        fault(t_serves(w_), "FAULT target's libvirtd killed", [](World& n) { n.t_libvirtd = false; });
        fault(is_active(w_.s), "FAULT source's QEMU killed", kill_source);
        fault(w_.t == TargetQemu::incoming || w_.t == TargetQemu::arrived || runs(w_.t), "FAULT target's QEMU killed",
              kill_target);
        fault(w_.s_host, "FAULT source host crashes", [](World& n) {
            kill_source(n);
            n.s_host = n.s_libvirtd = false, n.job = Job::none;
        });
        fault(w_.t_host, "FAULT target host crashes", [](World& n) {
            kill_target(n);
            n.t_host = n.t_libvirtd = false;
        });
        fault(w_.peer_link, "FAULT link between the hosts cut", [](World& n) { n.peer_link = false; });
        fault(w_.s_link, "FAULT link to the source cut", [](World& n) { n.s_link = false; });
        fault(w_.t_link, "FAULT link to the target cut", [](World& n) { n.t_link = false; });
    }

    static void kill_source(World& n) {
        if (is_active(n.s)) n.s = SourceQemu::off;
        n.job = Job::none;
    }
    static void kill_target(World& n) {
        if (n.t == TargetQemu::incoming)
            n.t = TargetQemu::absent;
        else if (runs(n.t) || n.t == TargetQemu::arrived)
            n.t = TargetQemu::off;
    }

    void repairs() {
        happens(!w_.daemon, "daemon restarts", [](World& n) { n.daemon = true; });
        happens(!w_.peer_link, "link between the hosts heals", [](World& n) { n.peer_link = true; });
        happens(!w_.s_link, "link to the source heals", [](World& n) { n.s_link = true; });
        happens(!w_.t_link, "link to the target heals", [](World& n) { n.t_link = true; });
        happens(w_.s_host && !w_.s_libvirtd, "source's libvirtd restarts", [](World& n) {
            n.s_libvirtd = true;
            if (n.job == Job::push) return source_gives_up(n);
            n.job = Job::none;  // after the push it leaves a paused source alone
            if (n.s == SourceQemu::switched && n.t != TargetQemu::pulling) n.s = SourceQemu::broken;
        });
        happens(w_.t_host && !w_.t_libvirtd, "target's libvirtd restarts", [](World& n) {
            n.t_libvirtd = true;
            if (n.t == TargetQemu::incoming && !n.switched) n.t = TargetQemu::absent;
        });
        happens(!w_.s_host, "source host comes back",
                [](World& n) { n.s_host = n.s_libvirtd = true, n.s_dead = false; });
        happens(!w_.t_host, "target host comes back",
                [](World& n) { n.t_host = n.t_libvirtd = true, n.t_dead = false; });
        // An operator takes longer than any message does.
        happens(!w_.s_host && !w_.s_dead && !w_.finish, "operator confirms the source dead",
                [](World& n) { n.s_dead = true; });
        // The only case that a rule leaves to the operator for ever: nobody but him knows whether he resumed it there.
        happens(w_.was_paused && w_.ended == Ended::no && w_.s == SourceQemu::paused && w_.t == TargetQemu::off &&
                    w_.job == Job::none && !w_.answer && !w_.finish,
                "operator declares the running state lost", [](World& n) { n.declared_lost = true; });
        happens(!w_.t_host && !w_.t_dead, "operator confirms the target dead", [](World& n) { n.t_dead = true; });
    }

    const World& w_;
    const Options& options_;
    std::vector<Edge> edges_;
};

}  // namespace

std::uint64_t World::pack() const {
    std::uint64_t bits = 0;
    const auto add = [&bits](auto value, int width) { bits = (bits << width) | static_cast<std::uint64_t>(value); };
    for (const bool flag :
         {s_host,      t_host,      s_libvirtd, t_libvirtd, s_dead,      t_dead,     peer_link,         s_link,
          t_link,      call,        finish,     answer,     switch_call, daemon,     may_have_switched, owner_is_target,
          target_seen, act_is_ours, switched,   target_ran, abort_call,  was_paused, declared_lost})
        add(flag, 1);
    add(s, 3), add(t, 3), add(job, 2), add(ended, 2), add(act, 4);
    add(seen_s, 4), add(seen_t, 4), add(reads, 3), add(faults, 3);
    return bits;
}

std::vector<Edge> steps_from(const World& world, const Options& options) {
    return Steps(world, options).all();
}

std::string violation_of(const World& w) {
    if (w.s == SourceQemu::running && runs(w.t)) return "two copies run";
    if (w.s == SourceQemu::running && w.switched) return "the source was resumed after the switch to post-copy";
    if (w.s == SourceQemu::running && w.target_ran) return "the source runs on a disk that the target has written to";
    return {};
}

bool is_settled_end(const World& w) {
    switch (w.ended) {
        case Ended::no:
            return false;
        case Ended::on_source:  // a target that was confirmed dead may come back with a stale definition: quarantine's
            return ((w.s == SourceQemu::running || (w.was_paused && w.s == SourceQemu::paused)) &&
                    (w.t == TargetQemu::absent || w.t_dead)) ||
                   (w.s == SourceQemu::off && (w.t == TargetQemu::absent || w.t == TargetQemu::off));
        case Ended::on_target:
            return (w.t == TargetQemu::running || w.t == TargetQemu::arrived || w.t == TargetQemu::off) &&
                   (w.s == SourceQemu::absent || w.s == SourceQemu::off);
        case Ended::restarted:
            return !is_active(w.s) && !runs(w.t) && w.t != TargetQemu::arrived;
    }
    std::unreachable();
}

}  // namespace ballast::migration::model

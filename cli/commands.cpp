#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "cli/options.hpp"

namespace holdfast::cli {

namespace {

constexpr std::array kExitCodes = {
    ExitCodeSpec{0, "done, durable"},
    ExitCodeSpec{1, "failed: I/O or system error; nothing was lost, run again"},
    ExitCodeSpec{2, "usage, before anything was touched"},
    ExitCodeSpec{
        3,
        "finished, with entries that were missed, left over, modified since capture, or in "
        "conflict: listed"},
    ExitCodeSpec{4, "damage: captured content is corrupt or missing"},
    ExitCodeSpec{5, "refused by a safety rule, with a reason code: ROOT untouched"},
    ExitCodeSpec{10, "no store here"},
    ExitCodeSpec{11, "store in use by another process"},
    ExitCodeSpec{12, "catalog or state damaged, or of a newer format"},
    ExitCodeSpec{13, "not enough space, quota or inodes"},
};

const std::vector<CommandSpec>& table() {
  static const std::vector<CommandSpec> specs = {
      {Command::kCapture,
       "capture",
       "ROOT...",
       1,
       0,
       "link what is worth keeping into the store and record it",
       "Gives every selected file below ROOT a second name in the store ROOT/.holdfast, records "
       "its path "
       "and metadata in a catalog, hashes its content and seals the store. No data is copied. "
       "Repeated, it refreshes the capture: what changed is taken anew, the rest is left alone. "
       "Stays "
       "on the volume of each ROOT and says what it did not enter.",
       "holdfast capture --exclude '*.iso' /mnt/target",
       {0, 1, 2, 3, 4, 5, 11, 12, 13}},
      {Command::kSeal,
       "seal",
       "ROOT...",
       1,
       0,
       "finish hashing, and seal the store",
       "Hashes what has no hash yet, checks the store against its catalog and seals it. For a "
       "capture "
       "with --hash later, or one that was interrupted while hashing.",
       "holdfast seal /mnt/target",
       {0, 1, 2, 3, 4, 5, 10, 11, 12, 13}},
      {Command::kVerify,
       "verify",
       "ROOT...",
       1,
       0,
       "check the store against its catalog",
       "Reads every captured file again and compares content and metadata with the catalog. After "
       "restore "
       "--mode move it looks at the restored places. Changes nothing.",
       "holdfast verify --quick /mnt/target",
       {0, 1, 2, 3, 4, 10, 11, 12}},
      {Command::kWipe,
       "wipe",
       "ROOT...",
       1,
       0,
       "move everything but the store aside",
       "Moves all that is below ROOT, but the store, aside into the store, so that the volume is "
       "empty "
       "for the new image; then refreshes the capture from there, so that the last changes are "
       "kept as "
       "well. Nothing is deleted before discard, unless --delete or --need ask for it, and until "
       "then "
       "rollback brings everything back. Acts on the named ROOTs and on nothing else.",
       "holdfast wipe --dry-run --need 20G /mnt/target",
       {0, 1, 2, 3, 4, 5, 10, 11, 12, 13}},
      {Command::kRollback,
       "rollback",
       "ROOT...",
       1,
       0,
       "put the old system back as it was",
       "Moves what is below ROOT now into the store and the old system back to its place. Possible "
       "as long "
       "as the old system is complete in the store and nothing was restored with --mode move.",
       "holdfast rollback --yes /mnt/target",
       {0, 1, 2, 3, 5, 10, 11, 12, 13}},
      {Command::kRestore,
       "restore",
       "ROOT [PATH...]",
       1,
       0,
       "put captured files back to their places",
       "Gives captured files their names below ROOT again, or only those at or below the PATHs. "
       "The "
       "store stays, and restore can be repeated, unless --mode move is given. What the image has "
       "put "
       "into the same places is handled by --on-conflict. PATHs are literal and relative to ROOT.",
       "holdfast restore --map home/alice=home/al /mnt/target",
       {0, 1, 2, 3, 4, 5, 10, 11, 12, 13}},
      {Command::kDiscard,
       "discard",
       "ROOT...",
       1,
       0,
       "remove the store and the old system",
       "Deletes the store, and with it the old system that wipe moved aside. Restored files stay. "
       "Refused "
       "while the store holds the only name of a captured file, or displaced files nobody looked "
       "at.",
       "holdfast discard --yes /mnt/target",
       {0, 1, 2, 3, 5, 10, 11, 12}},
      {Command::kStatus,
       "status",
       "[ROOT...]",
       0,
       0,
       "state, counts, gaps, and what to do next",
       "Shows the state of each store, what it holds, what is missing and what to do next. Without "
       "ROOT "
       "it looks for stores at the top of all mounted volumes. Takes no lock and changes nothing.",
       "holdfast status",
       {0, 1, 2, 3, 10, 12}},
      {Command::kLs,
       "ls",
       "ROOT [PATH]",
       1,
       2,
       "list catalogued entries",
       "Lists what the catalog holds, recursively, one path a line; with PATH only what is there "
       "and "
       "below. Paths are relative to ROOT; those of volumes captured together with it begin with a "
       "slash.",
       "holdfast ls --long /mnt/target home/alice",
       {0, 1, 2, 3, 10, 11, 12}},
      {Command::kFind,
       "find",
       "ROOT",
       1,
       1,
       "search the catalog",
       "Lists catalogued entries by name, by content hash, by the content of another file, or "
       "those whose "
       "content exists more than once. Exactly one of these questions at a time. Nothing found is "
       "no "
       "error.",
       "holdfast find --same-as ~/report.odt /mnt/target",
       {0, 1, 2, 3, 10, 11, 12}},
      {Command::kRepair,
       "repair",
       "ROOT",
       1,
       1,
       "rebuild a damaged catalog or state",
       "Rebuilds what describes the captured files from the files themselves and the manifests "
       "beside "
       "them. Hashes keep their value from the capture where a manifest has it, so that verify "
       "still "
       "finds what changed since; files for which none has it are hashed as they are now and "
       "listed. "
       "Names in the store that nobody recorded are adopted. Deletes nothing, works in every "
       "state, and "
       "does nothing to a store that is sound.",
       "holdfast repair /mnt/target",
       {0, 1, 2, 3, 4, 5, 10, 11, 12, 13}},
      {Command::kExplain,
       "explain",
       "ROOT PATH...",
       2,
       0,
       "say why paths are or are not selected",
       "Shows for each PATH whether it is selected, which rule of which file decides that, and "
       "what "
       "else matches it. By the selection of the store, if there is one, else by the rules. PATHs "
       "are literal and relative to ROOT. Changes nothing.",
       "holdfast explain /mnt/target home/alice/.cache etc/fstab",
       {0, 1, 2, 12}},
  };
  return specs;
}

}  // namespace

std::span<const CommandSpec> commands() { return table(); }

const CommandSpec& spec_of(Command command) { return table()[static_cast<std::size_t>(command)]; }

const CommandSpec* find_command(std::string_view name) {
  for (const CommandSpec& spec : table()) {
    if (spec.name == name) {
      return &spec;
    }
  }
  return nullptr;
}

std::span<const ExitCodeSpec> exit_codes() { return kExitCodes; }

}  // namespace holdfast::cli

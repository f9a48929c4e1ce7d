#include "cli/options.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

/// The first sentence of each help text is what -h shows beside the option: at most 51 characters.
namespace holdfast::cli {

namespace {

using enum Command;

constexpr CommandSet kFollowing = in(kVerify, kRestore, kDiscard, kStatus, kLs, kFind);

constexpr std::array kOptions = {
    OptionSpec{OptionId::kEverything, "", "--everything", "", false, OptionGroup::kSelection,
               in(kCapture),
               "Captures all that is below ROOT. ROOT's own owner, mode and times are kept too. "
               "Without it, --include or a store, the rules decide."},
    OptionSpec{
        OptionId::kInclude, "", "--include", "PAT", true, OptionGroup::kSelection, in(kCapture),
        "Captures what matches, and all below it. Patterns are gitignore's: *, ?, [...] within a "
        "name, ** over any number of directories, a trailing / for directories only. Anchored at "
        "ROOT unless it starts with **/. May be repeated."},
    OptionSpec{OptionId::kExclude, "", "--exclude", "PAT", true, OptionGroup::kSelection,
               in(kCapture),
               "Leaves out what matches. Beats --include and all rules. A pattern without a / "
               "before its end matches "
               "at any depth. May be repeated."},
    OptionSpec{OptionId::kRules, "", "--rules", "FILE", true, OptionGroup::kSelection,
               in(kCapture, kExplain),
               "Reads rules from FILE too, on top of the others. May be repeated."},
    OptionSpec{OptionId::kNoBuiltinRules, "", "--no-builtin-rules", "", false,
               OptionGroup::kSelection, in(kCapture, kExplain),
               "Takes the rules of --rules alone. Neither the built-in ones nor those of "
               "/etc/holdfast/rules.d."},
    OptionSpec{OptionId::kUsers, "", "--users", "LIST", false, OptionGroup::kSelection,
               in(kCapture, kExplain),
               "Whose things the rules take. Names, #UID, globs and all, between commas, ! before "
               "those who are left out; the last that matches decides. The default is all."},
    OptionSpec{OptionId::kInclude, "", "--include", "PAT", true, OptionGroup::kSelection,
               in(kRestore),
               "Restores only what matches. Patterns as for capture. May be repeated."},
    OptionSpec{OptionId::kExclude, "", "--exclude", "PAT", true, OptionGroup::kSelection,
               in(kRestore), "Does not restore what matches. Beats --include. May be repeated."},
    OptionSpec{OptionId::kReplaceSelection, "", "--replace-selection", "", false,
               OptionGroup::kSelection, in(kCapture),
               "Lets go of what the new selection leaves out. Without it, capture with other "
               "patterns than the "
               "stored ones is refused."},
    OptionSpec{OptionId::kAllVolumes, "", "--all-volumes", "", false, OptionGroup::kSelection,
               in(kCapture),
               "Takes the fixed volumes mounted below ROOT too. Each gets a store at its own top; "
               "tmpfs, removable and network filesystems stay out."},

    OptionSpec{
        OptionId::kHash, "", "--hash", "now|later", false, OptionGroup::kMethod, in(kCapture),
        "When content is hashed. later ends capture after linking, in state linked; seal does "
        "the rest."},
    OptionSpec{OptionId::kIoDepth, "", "--io-depth", "N", false, OptionGroup::kMethod,
               in(kCapture, kSeal, kVerify),
               "Files read at once while hashing, 1 to 1024. Chosen by what is observed if not "
               "given."},
    OptionSpec{
        OptionId::kLabel, "", "--label", "KEY=VALUE", true, OptionGroup::kMethod, in(kCapture),
        "Recorded with the capture. A ticket, an asset number; shown by status and in JSON. May be "
        "repeated."},
    OptionSpec{OptionId::kQuick, "", "--quick", "", false, OptionGroup::kMethod, in(kVerify),
               "Compares names and metadata only. Without it every file is read and hashed again."},
    OptionSpec{OptionId::kTo, "", "--to", "DIR", false, OptionGroup::kMethod, in(kRestore),
               "Restores below DIR instead of ROOT. The state of the store stays as it is."},
    OptionSpec{OptionId::kMode, "", "--mode", "link|move|reflink|copy", false, OptionGroup::kMethod,
               in(kRestore),
               "How files get to their places. link (the default) keeps the store, move empties "
               "it, reflink "
               "makes independent files that share space, copy makes independent files."},
    OptionSpec{OptionId::kMap, "", "--map", "OLD=NEW", true, OptionGroup::kMethod, in(kRestore),
               "Puts what was captured at OLD to NEW. Literal paths relative to ROOT, split at the "
               "first =; the longest matching OLD wins. May be repeated."},
    OptionSpec{
        OptionId::kOnConflict, "", "--on-conflict", "captured|existing|newer|both|fail", false,
        OptionGroup::kMethod, in(kRestore),
        "Who wins where something else is in place. captured (the default) keeps the displaced "
        "one in the store; both keeps the two beside each other; fail is planned first and "
        "touches nothing."},
    OptionSpec{OptionId::kVerify, "", "--verify", "quick|full|none", false, OptionGroup::kMethod,
               in(kRestore),
               "How restored files are checked. quick (the default) compares inodes, full hashes "
               "again."},

    OptionSpec{OptionId::kYes, "", "--yes", "", false, OptionGroup::kSafety,
               in(kWipe, kRollback, kDiscard),
               "Yes, do it. There are no prompts: without it the command is refused."},
    OptionSpec{OptionId::kDryRun, "", "--dry-run", "", false, OptionGroup::kSafety,
               in(kCapture, kRestore),
               "Says what would be done. Exits with the code that the run would give."},
    OptionSpec{
        OptionId::kDryRun, "", "--dry-run", "", false, OptionGroup::kSafety, in(kWipe),
        "Go or no-go, with all reasons. Makes all checks and moves nothing; needs no --yes."},
    OptionSpec{
        OptionId::kDelete, "", "--delete", "", false, OptionGroup::kSafety, in(kWipe),
        "Deletes the old system now. There is no rollback afterwards. Without it the old system "
        "stays in the store until discard."},
    OptionSpec{OptionId::kNeed, "", "--need", "SIZE", false, OptionGroup::kSafety, in(kWipe),
               "Space that the image needs. Bytes, or with K, M, G, T (powers of 1024). As much of "
               "the old "
               "system is deleted as is needed for it."},
    OptionSpec{OptionId::kKeep, "", "--keep", "PATH", true, OptionGroup::kSafety, in(kWipe),
               "Leaves PATH where it is. Literal, relative to ROOT. May be repeated."},
    OptionSpec{OptionId::kAcceptMissed, "", "--accept-missed", "PAT", true, OptionGroup::kSafety,
               in(kCapture, kWipe),
               "Missed entries that match may be lost. Recorded in the store. May be repeated."},
    OptionSpec{OptionId::kAllowVanished, "", "--allow-vanished", "", false, OptionGroup::kSafety,
               in(kCapture),
               "Goes on when most captured files are gone. A refresh that would drop more than "
               "half is refused "
               "without it."},
    OptionSpec{
        OptionId::kAgain, "", "--again", "", false, OptionGroup::kSafety, in(kWipe),
        "Moves an image that failed aside. In state wiped and later; nothing is captured from "
        "it."},
    OptionSpec{
        OptionId::kAgain, "", "--again", "", false, OptionGroup::kSafety, in(kRestore),
        "Restores once more over what users did since. Without it a finished restore changes "
        "nothing."},
    OptionSpec{OptionId::kLoseFiles, "", "--lose-files", "", false, OptionGroup::kSafety,
               in(kDiscard), "Discards even the only name of captured files. They are lost then."},
    OptionSpec{OptionId::kLoseDisplaced, "", "--lose-displaced", "", false, OptionGroup::kSafety,
               in(kDiscard), "Discards what restore displaced. It is lost then."},

    OptionSpec{OptionId::kFindName, "", "--name", "GLOB", false, OptionGroup::kSelection, in(kFind),
               "Entries whose last component matches. *, ? and [...]; quote it."},
    OptionSpec{OptionId::kFindHash, "", "--hash", "HEX", false, OptionGroup::kSelection, in(kFind),
               "Files with this content. 32 hex digits, as xxh128sum prints them."},
    OptionSpec{OptionId::kSameAs, "", "--same-as", "FILE", false, OptionGroup::kSelection,
               in(kFind), "Files with the content of FILE. Compared byte by byte."},
    OptionSpec{OptionId::kDuplicates, "", "--duplicates", "", false, OptionGroup::kSelection,
               in(kFind),
               "Files of equal content that are not linked. Groups are parted by a blank line."},
    OptionSpec{OptionId::kMissed, "", "--missed", "", false, OptionGroup::kSelection, in(kLs),
               "Lists what was wanted and is not held. With reasons."},
    OptionSpec{OptionId::kSkipped, "", "--skipped", "", false, OptionGroup::kSelection, in(kLs),
               "Lists what was left out by design. With reasons."},
    OptionSpec{OptionId::kLong, "", "--long", "", false, OptionGroup::kOutput, in(kLs, kFind),
               "Type, mode, owner, size, time, hash, path."},
    OptionSpec{OptionId::kPrintNul, "-0", "", "", false, OptionGroup::kOutput, in(kLs, kFind),
               "Prints names raw, each ended by NUL. For xargs -0."},

    OptionSpec{OptionId::kStore, "", "--store", "DIR", false, OptionGroup::kStores, kEveryCommand,
               "The store, if not ROOT/.holdfast. On the same mount as ROOT; for one ROOT only."},
    OptionSpec{
        OptionId::kVolume, "", "--volume", "UUID=DIR", true, OptionGroup::kStores, kFollowing,
        "Where the volume with this filesystem is now. For volumes captured together that are "
        "not found by themselves. May be repeated."},
    OptionSpec{
        OptionId::kWaitLock, "", "--wait-lock", "SECONDS", false, OptionGroup::kStores,
        kEveryCommand,
        "Waits for another holdfast to finish. Without it, a store in use ends the command at "
        "once."},

    OptionSpec{OptionId::kJson, "", "--json", "", false, OptionGroup::kOutput, kEveryCommand,
               "JSON lines on stdout. One per problem or entry, and a summary at the end."},
    OptionSpec{OptionId::kProgress, "", "--progress", "auto|bar|json|none", false,
               OptionGroup::kOutput, kEveryCommand,
               "Progress on stderr. auto (the default) shows a bar on a terminal."},
    OptionSpec{OptionId::kProgressFile, "", "--progress-file", "FILE", false, OptionGroup::kOutput,
               kEveryCommand, "Appends progress to FILE as JSON lines."},
    OptionSpec{OptionId::kLogFile, "", "--log-file", "FILE", false, OptionGroup::kOutput,
               kEveryCommand, "Appends a log of the run to FILE."},
    OptionSpec{OptionId::kQuiet, "-q", "--quiet", "", false, OptionGroup::kOutput, kEveryCommand,
               "Says nothing but errors and problems. Listings and status are still printed."},
    OptionSpec{OptionId::kVerbose, "-v", "--verbose", "", false, OptionGroup::kOutput,
               kEveryCommand, "Tells every finished step on stderr."},

    OptionSpec{
        OptionId::kJobs, "-j", "--jobs", "N", false, OptionGroup::kGeneral, kEveryCommand,
        "Worker threads, 1 to 256. 1 does everything in the calling thread. The default is one a "
        "processor, at most 8."},
    OptionSpec{OptionId::kHelp, "-h", "--help", "", false, OptionGroup::kGeneral, kEveryCommand,
               "--help tells all, -h fits a screen."},
    OptionSpec{OptionId::kVersion, "", "--version", "", false, OptionGroup::kGeneral, kEveryCommand,
               "The version."},
};

}  // namespace

std::string_view title(OptionGroup group) noexcept {
  switch (group) {
    case OptionGroup::kSelection:
      return "Which entries";
    case OptionGroup::kMethod:
      return "How";
    case OptionGroup::kSafety:
      return "Safety";
    case OptionGroup::kStores:
      return "Stores and volumes";
    case OptionGroup::kOutput:
      return "Output";
    case OptionGroup::kGeneral:
      return "General";
  }
  return {};
}

std::span<const OptionSpec> options() { return kOptions; }

std::vector<const OptionSpec*> options_of(Command command) {
  std::vector<const OptionSpec*> taken;
  for (const OptionSpec& option : kOptions) {
    if ((option.commands & in(command)) != 0) {
      taken.push_back(&option);
    }
  }
  return taken;
}

std::string_view display_name(const OptionSpec& option) noexcept {
  return option.name.empty() ? option.letter : option.name;
}

std::vector<std::string_view> choices(const OptionSpec& option) {
  std::vector<std::string_view> words;
  std::string_view rest = option.argument;
  if (!rest.contains('|')) {
    return words;
  }
  while (true) {
    const std::size_t end = rest.find('|');
    words.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) {
      return words;
    }
    rest.remove_prefix(end + 1);
  }
}

}  // namespace holdfast::cli

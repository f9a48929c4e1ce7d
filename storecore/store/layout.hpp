#pragma once

/// Names inside a store. docs/store.md says what each is for. Frozen: stores on disks have them.
namespace holdfast::core::layout {

inline constexpr const char* kStore = ".holdfast";
inline constexpr const char* kReadme = "README";
inline constexpr const char* kState = "state.json";
inline constexpr const char* kBallast = "ballast";
inline constexpr const char* kLock = "lock";
inline constexpr const char* kTree = "tree";
inline constexpr const char* kCatalog = "catalog";
inline constexpr const char* kCatalogData = "data.mdb";
inline constexpr const char* kStamp = "checked";
inline constexpr const char* kManifestHashes = "manifest.xxh128";
inline constexpr const char* kManifest = "manifest.jsonl";
inline constexpr const char* kSelection = "selection";
inline constexpr const char* kSelectionFile = "selection.json";
inline constexpr const char* kJournal = "journal";
inline constexpr const char* kJournalFlags = "flags.jsonl";
inline constexpr const char* kJournalRestore = "restore.jsonl";
inline constexpr const char* kJournalBarrier = "barrier-failed";
inline constexpr const char* kAside = "aside";
inline constexpr const char* kDropped = "dropped";
inline constexpr const char* kDisplaced = "displaced";
inline constexpr const char* kFailed = "failed";
inline constexpr const char* kLog = "log";
/// In ROOT, from wipe until restore has ended.
inline constexpr const char* kMarker = "HOLDFAST-DO-NOT-FORMAT.txt";
/// Where directories that restore builds stand until they are finished; the directory's id follows.
inline constexpr const char* kStagingPrefix = ".holdfast-restore-";
/// Marks a directory as a store, with the capture id as value: how other stores are recognised.
inline constexpr const char* kMarkXattr = "trusted.holdfast.store";
inline constexpr const char* kMarkXattrUser = "user.holdfast.store";
/// Marks a directory that restore is building, with the capture id as value: a user can put another
/// one under its name, but cannot mark it.
inline constexpr const char* kStagingXattr = "trusted.holdfast.staging";

}  // namespace holdfast::core::layout

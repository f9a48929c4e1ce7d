#include "cli/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "catalog/digest.hpp"
#include "catalog/error.hpp"
#include "catalog/name.hpp"
#include "catalog/problem.hpp"
#include "catalog/records.hpp"
#include "cli/help.hpp"
#include "storecore/ops/operations.hpp"
#include "storecore/ops/report.hpp"
#include "storecore/select/explain.hpp"
#include "storecore/select/rule.hpp"
#include "storecore/select/selection.hpp"
#include "storecore/store/state.hpp"

namespace holdfast::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void put_bytes(Json& json, const std::string& key, std::string_view bytes) {
  if (catalog::is_utf8(bytes)) {
    json[key] = bytes;
  } else {
    json[key] = catalog::escape_name(bytes);
    json[key + "_b64"] = catalog::to_base64(bytes);
  }
}

/// Empty text is unknown text.
Json text_or_null(std::string_view text) { return text.empty() ? Json() : Json(text); }

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json milliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

void put_labels(Json& json, const core::VolumeReport& volume) {
  json["labels"] = Json::object();
  for (const auto& [key, value] : volume.labels) {
    put_bytes(json["labels"], key, value);
  }
}

void put_error(Json& json, const std::optional<catalog::Error>& error) {
  json["error"] = error ? Json(catalog::describe(*error)) : Json();
  json["hint"] = error ? text_or_null(error->hint) : Json();
  if (error && !error->reason_code.empty()) {
    json["reason_code"] = error->reason_code;
  }
}

void put_reasons(Json& json, const core::VolumeReport& volume) {
  for (const core::Reason& reason : volume.reasons) {
    json.push_back({{"code", reason.code}, {"text", reason.text}});
  }
  const auto& error = volume.error;
  if (error && error->fault == catalog::Fault::kRefused &&
      std::ranges::find(volume.reasons, error->reason_code, &core::Reason::code) ==
          volume.reasons.end()) {
    json.push_back({{"code", error->reason_code}, {"text", catalog::describe(*error)}});
  }
}

/// Counts known on at least one volume, added up.
void put_counts(Json& json, const std::vector<core::VolumeReport>& volumes) {
  for (std::size_t i = 0; i < core::kCounts; ++i) {
    const auto count = static_cast<core::Count>(i);
    std::optional<std::uint64_t> sum;
    for (const core::VolumeReport& volume : volumes) {
      if (const auto value = volume.counts.get(count)) {
        sum = sum.value_or(0) + *value;
      }
    }
    if (sum) {
      json[std::string(core::to_word(count))] = *sum;
    }
  }
}

void put_wipe(Json& json, const core::VolumeReport& volume) {
  if (volume.ready) {
    json["ready"] = *volume.ready;
  }
  Json reasons = Json::array();
  put_reasons(reasons, volume);
  if (volume.ready || !reasons.empty()) {
    json["reasons"] = std::move(reasons);
  }
  if (volume.would_free_bytes) {
    json["would_free_bytes"] = *volume.would_free_bytes;
  }
  if (volume.ready || !volume.kept.empty()) {
    json["kept"] = Json::array();
    for (const std::string& path : volume.kept) {
      json["kept"].push_back(catalog::is_utf8(path) ? path : catalog::escape_name(path));
    }
  }
  if (volume.ready || !volume.not_selected.empty()) {
    json["not_selected"] = Json::array();
    for (const core::SizedPath& tree : volume.not_selected) {
      Json one;
      put_bytes(one, "path", tree.path);
      one["bytes"] = tree.bytes;
      json["not_selected"].push_back(std::move(one));
    }
  }
}

void put_volume(Json& json, const core::VolumeReport& volume, int exit_code) {
  put_bytes(json, "root", volume.root);
  if (volume.store.empty()) {
    json["store"] = nullptr;
  } else {
    put_bytes(json, "store", volume.store);
  }
  json["capture_id"] = text_or_null(volume.capture_id);
  json["captured_at"] = text_or_null(volume.captured_at);
  put_labels(json, volume);
  json["fs_type"] = text_or_null(volume.fs_type);
  json["fs_uuid"] = text_or_null(volume.fs_uuid);
  json["state"] = volume.state ? Json(core::to_word(*volume.state)) : Json();
  json["exit_code"] = exit_code;
  put_error(json, volume.error);
  json["next"] = text_or_null(volume.next);
  json["durable"] = volume.durable;
  json["nothing_to_do"] = volume.nothing_to_do;
  json["started_at"] = text_or_null(volume.started_at);
  json["seconds"] = milliseconds(volume.seconds);
  json["phases"] = Json::array();
  for (const core::PhaseReport& phase : volume.phases) {
    json["phases"].push_back({{"name", phase.name},
                              {"seconds", milliseconds(phase.seconds)},
                              {"files", phase.files},
                              {"bytes", phase.bytes}});
  }
  json["free_bytes"] = value_or_null(volume.free_bytes);
  json["needed_bytes"] = value_or_null(volume.needed_bytes);
  put_counts(json, {volume});
  put_wipe(json, volume);
}

Json summary_head(std::string_view command) {
  Json json;
  json["event"] = "summary";
  json["schema"] = kJsonSchema;
  json["version"] = version_number();
  json["command"] = text_or_null(command);
  return json;
}

/// The volume whose exit code is the run's: its error and its next step are the ones to look at.
const core::VolumeReport& decisive(const core::RunReport& report) {
  const int code = report.exit_code();
  const auto found = std::ranges::find(report.volumes, code, &core::VolumeReport::exit_code);
  return found == report.volumes.end() ? report.volumes.front() : *found;
}

/// What is the same for all volumes stands at the top, sums stand for counts, and `volumes` has the
/// rest.
void put_volumes(Json& json, const core::RunReport& report, int exit_code) {
  const std::vector<core::VolumeReport>& volumes = report.volumes;
  const core::VolumeReport& worst = decisive(report);
  const auto same = [&volumes](auto member) {
    return std::ranges::all_of(volumes, [&](const core::VolumeReport& volume) {
      return volume.*member == volumes.front().*member;
    });
  };
  json["capture_id"] =
      same(&core::VolumeReport::capture_id) ? text_or_null(volumes.front().capture_id) : Json();
  put_labels(json, volumes.front());
  const auto& state = volumes.front().state;
  json["state"] = same(&core::VolumeReport::state) && state ? Json(core::to_word(*state)) : Json();
  json["exit_code"] = exit_code;
  put_error(json, worst.error);
  json["next"] = text_or_null(worst.next);
  json["durable"] = std::ranges::all_of(volumes, &core::VolumeReport::durable);
  json["nothing_to_do"] = std::ranges::all_of(volumes, &core::VolumeReport::nothing_to_do);
  json["started_at"] =
      text_or_null(std::ranges::min(volumes, {}, &core::VolumeReport::started_at).started_at);
  json["seconds"] =
      milliseconds(std::ranges::max(volumes, {}, &core::VolumeReport::seconds).seconds);
  put_counts(json, volumes);
  if (std::ranges::any_of(volumes, [](const auto& volume) { return volume.ready.has_value(); })) {
    json["ready"] = std::ranges::all_of(
        volumes, [](const auto& volume) { return volume.ready.value_or(false); });
    json["reasons"] = Json::array();
    std::ranges::for_each(volumes,
                          [&json](const auto& volume) { put_reasons(json["reasons"], volume); });
  }
  json["volumes"] = Json::array();
  for (const core::VolumeReport& volume : volumes) {
    Json one;
    put_volume(one, volume, volume.exit_code);
    json["volumes"].push_back(std::move(one));
  }
}

}  // namespace

std::string problem_line(std::string_view root, const catalog::Problem& problem) {
  Json json;
  json["event"] = "problem";
  json["kind"] = catalog::to_word(problem.kind);
  put_bytes(json, "path", problem.path);
  json["op"] = text_or_null(problem.operation);
  json["errno"] = problem.error_number;
  // Some reasons carry names; and the errno's own words spare readers a table.
  std::string reason = catalog::escape_name(problem.reason);
  if (reason.empty() && problem.error_number != 0) {
    reason = std::generic_category().message(problem.error_number);
  }
  json["reason"] = reason;
  put_bytes(json, "root", root);
  return dumped(json);
}

std::string entry_line(const core::ListedEntry& entry) {
  Json json;
  put_bytes(json, "path", entry.path);
  json["type"] = catalog::to_word(entry.type);
  json["mode"] = fmt::format("{:04o}", entry.mode);
  json["uid"] = entry.uid;
  json["gid"] = entry.gid;
  json["size"] = entry.size;
  json["mtime"] = fmt::format("{}.{:09}", entry.mtime.seconds, entry.mtime.nanoseconds);
  json["inode"] = entry.inode;
  json["links"] = entry.links;
  if (entry.held) {
    json["held"] = catalog::to_word(*entry.held);
  }
  if (entry.hash) {
    json["hash"] = catalog::to_hex(*entry.hash);
  }
  if (entry.type == catalog::FileType::kSymlink) {
    put_bytes(json, "link_target", entry.link_target);
  }
  if (entry.group) {
    json["group"] = *entry.group;
  }
  put_bytes(json, "root", entry.root);
  return dumped(json);
}

std::string explanation_line(const core::ExplainedPath& explained) {
  using By = core::Explanation::By;
  using Verdict = core::Selection::Verdict;
  Json json;
  put_bytes(json, "path", explained.path);
  const Verdict verdict = explained.explanation.verdict;
  json["verdict"] = verdict == Verdict::kSelected ? "selected"
                    : verdict == Verdict::kEnter  ? "entered"
                                                  : "not_selected";
  json["matches"] = Json::array();
  for (const core::Explanation::Match& match : explained.explanation.matches) {
    Json one;
    put_bytes(one, "matched", match.path);
    switch (match.by) {
      case By::kExclude:
        one["by"] = "--exclude";
        put_bytes(one, "pattern", explained.spec->exclude[match.index]);
        break;
      case By::kInclude:
        one["by"] = "--include";
        put_bytes(one, "pattern", explained.spec->include[match.index]);
        break;
      case By::kEverything:
        one["by"] = "--everything";
        break;
      case By::kRule: {
        const core::SelectionRule& rule = explained.spec->rules[match.index];
        one["by"] = "rule";
        one["effect"] = core::to_word(rule.effect);
        put_bytes(one, "pattern", rule.pattern);
        one["component"] = rule.component;
        one["kind"] = rule.kind;
        put_bytes(one, "user", rule.user);
        put_bytes(one, "file", rule.file);
        one["line"] = rule.line;
        one["layer"] = core::to_word(rule.layer);
        break;
      }
    }
    json["matches"].push_back(std::move(one));
  }
  return dumped(json);
}

std::string summary_line(std::string_view command, const core::RunReport& report, int exit_code) {
  Json json = summary_head(command);
  if (report.volumes.size() == 1) {
    put_volume(json, report.volumes.front(), exit_code);
  } else if (!report.volumes.empty()) {
    put_volumes(json, report, exit_code);
  } else {
    json["exit_code"] = exit_code;
    put_error(json, std::nullopt);
    json["next"] = nullptr;
    json["volumes"] = Json::array();
  }
  return dumped(json);
}

std::string failure_line(std::string_view command, std::string_view error, std::string_view hint,
                         int exit_code) {
  Json json = summary_head(command);
  json["exit_code"] = exit_code;
  json["error"] = error;
  json["hint"] = text_or_null(hint);
  json["next"] = nullptr;
  json["durable"] = false;
  return dumped(json);
}

std::string progress_line(const ProgressMoment& moment) {
  const auto total = [](std::uint64_t value) { return value == 0 ? Json() : Json(value); };
  Json json;
  json["event"] = "progress";
  json["phase"] = moment.phase;
  json["files"] = moment.files;
  json["bytes"] = moment.bytes;
  json["total_files"] = total(moment.total_files);
  json["total_bytes"] = total(moment.total_bytes);
  json["percent"] = moment.fraction ? Json(std::floor(*moment.fraction * 1000) / 10) : Json();
  json["eta_s"] = moment.eta_seconds ? Json(std::llround(*moment.eta_seconds)) : Json();
  put_bytes(json, "root", moment.root);
  json["done"] = moment.done;
  return dumped(json);
}

}  // namespace holdfast::cli

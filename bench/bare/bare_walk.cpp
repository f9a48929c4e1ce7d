// The bound of everything that has to look at each file: read the directories, statx each name.
//
//   bare_walk [--threads N] DIR
#include <fcntl.h>
#include <sys/stat.h>

#include "walk.hpp"

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  const Arguments arguments = parse(argc, argv, 1, "bare_walk [--threads N] DIR");
  Counts counts;
  const double begun = now();
  walk(arguments.first, arguments.threads,
       {.enter = {},
        .see =
            [&](const DirPtr& dir, const Entry& entry) {
              struct statx found{};
              if (statx(dir->fd, entry.name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                        STATX_BASIC_STATS | STATX_BTIME, &found) != 0)
                die("statx", entry.name);
              counts.count(entry.type);
              if (S_ISREG(found.stx_mode)) counts.bytes += found.stx_size;
            },
        .leave = {}});
  report(counts, now() - begun);
  return 0;
}

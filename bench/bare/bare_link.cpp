// The bound of the link phase and of restore by links: read the directories, make each in the
// mirror, link each name. Nothing is looked at, recorded or made durable.
//
//   bare_link [--threads N] DIR MIRROR
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walk.hpp"

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  const Arguments arguments = parse(argc, argv, 2, "bare_link [--threads N] DIR MIRROR");
  Counts counts;
  const double begun = now();
  if (mkdir(arguments.second, 0700) != 0) die("mkdir", arguments.second);
  walk(arguments.first, arguments.threads,
       {.enter =
            [&](Dir& dir) {
              const int above = dir.parent ? dir.parent->twin : AT_FDCWD;
              const char* name = dir.parent ? dir.name.c_str() : arguments.second;
              dir.twin = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
              if (dir.twin < 0) die("openat", name);
            },
        .see =
            [&](const DirPtr& dir, const Entry& entry) {
              if (entry.type == DT_DIR) {
                if (mkdirat(dir->twin, entry.name, 0700) != 0) die("mkdirat", entry.name);
              } else if (linkat(dir->fd, entry.name, dir->twin, entry.name, 0) != 0) {
                die("linkat", entry.name);
              }
              counts.count(entry.type);
            },
        .leave = {}});
  report(counts, now() - begun);
  return 0;
}

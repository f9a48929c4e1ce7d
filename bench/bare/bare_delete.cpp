// The bound of deletion: each name is unlinked, each directory removed once it is empty.
//
//   bare_delete [--threads N] DIR
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "walk.hpp"

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  const Arguments arguments = parse(argc, argv, 1, "bare_delete [--threads N] DIR");
  Counts counts;
  const double begun = now();
  walk(arguments.first, arguments.threads,
       {.enter = {},
        .see =
            [&](const DirPtr& dir, const Entry& entry) {
              if (entry.type != DT_DIR && unlinkat(dir->fd, entry.name, 0) != 0)
                die("unlinkat", entry.name);
              counts.count(entry.type);
            },
        .leave =
            [&](Dir& dir) {
              const int above = dir.parent ? dir.parent->fd : AT_FDCWD;
              const char* name = dir.parent ? dir.name.c_str() : arguments.first;
              if (unlinkat(above, name, AT_REMOVEDIR) != 0) die("unlinkat", name);
            }});
  report(counts, now() - begun);
  return 0;
}

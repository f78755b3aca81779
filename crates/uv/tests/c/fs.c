/* Files: each request at once, and with a callback; what it leaves in the struct; its errors. */
#include "check.h"
#include <fcntl.h>
#include <sys/stat.h>

static uv_loop_t loop;
static uv_fs_t req;
static char folder[64], path[128], other[128];

static char* in(char* room, const char* name) { sprintf(room, "%s/%s", folder, name); return room; }
static void said(const char* what, int code) {
  printf("%s: %s, result %s, type %d", what, code < 0 ? uv_err_name(code) : code ? "positive" : "ok", req.result < 0 ? uv_err_name(req.result) : req.result ? "positive" : "0", uv_fs_get_type(&req));
  printf(", ptr %s, path %s\n", !req.ptr ? "none" : req.ptr == &req.statbuf ? "stat" : "some", !req.path ? "none" : "some");
  CHECK(uv_fs_get_result(&req) == req.result && uv_fs_get_ptr(&req) == req.ptr && uv_fs_get_path(&req) == req.path && uv_fs_get_statbuf(&req) == &req.statbuf);
  uv_fs_req_cleanup(&req);
  CHECK(!req.path && !req.ptr && !req.new_path && !req.bufs);
}
static int called;
static void on_done(uv_fs_t* done) { CHECK(done == &req && done->loop == &loop); called++; said("  done", 0); }
#define BOTH(what, call, later) \
  do { \
    uv_fs_cb cb = NULL; \
    (void)cb; \
    said(what, call); \
    cb = on_done; \
    int before = called, code = later; \
    if (code) printf("  later: %s\n", uv_err_name(code)); \
    uv_run(&loop, UV_RUN_DEFAULT); \
    CHECK(called == before + !code); \
  } while (0)
#define EACH(what, ...) BOTH(what, __VA_ARGS__, __VA_ARGS__)

static void names(const char* what) {
  uv_dirent_t entry;
  printf("%s: %d\n", what, (int)uv_fs_scandir(NULL, &req, folder, 0, NULL));
  while (uv_fs_scandir_next(&req, &entry) == 0) printf("  %s %d\n", entry.name, entry.type);
  CHECK(uv_fs_scandir_next(&req, &entry) == UV_EOF);
  uv_fs_req_cleanup(&req);
}

int main(void) {
  struct stat status;
  char room[32] = {0};
  uv_buf_t parts[6];
  CHECK(uv_loop_init(&loop) == 0);
  CHECK(uv_fs_mkdtemp(NULL, &req, "/tmp/oneloop-uv-XXXXXX", NULL) == 0);
  strcpy(folder, req.path);
  printf("made %zu\n", strlen(folder));
  uv_fs_req_cleanup(&req);
  said("bad template", uv_fs_mkdtemp(NULL, &req, "/tmp/no template", NULL));
  result("no request", uv_fs_stat(NULL, NULL, folder, NULL));

  in(path, "file");
  EACH("open nothing", uv_fs_open(&loop, &req, path, O_RDONLY, 0, cb));
  int fd = uv_fs_open(NULL, &req, path, O_RDWR | O_CREAT | O_TRUNC, 0640, NULL);
  CHECK(fd >= 0 && req.result == fd && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
  uv_fs_req_cleanup(&req);
  for (int i = 0; i < 6; i++) parts[i] = uv_buf_init("0123456789abcdef" + i, 3);
  EACH("write", uv_fs_write(&loop, &req, fd, parts, 6, -1, cb));
  EACH("write at", uv_fs_write(&loop, &req, fd, parts + 5, 1, 1, cb));
  EACH("no buffers", uv_fs_write(&loop, &req, fd, parts, 0, 1, cb));
  EACH("fsync", uv_fs_fsync(&loop, &req, fd, cb));
  EACH("fdatasync", uv_fs_fdatasync(&loop, &req, fd, cb));
  EACH("fstat", uv_fs_fstat(&loop, &req, fd, cb));
  parts[0] = uv_buf_init(room, 4), parts[1] = uv_buf_init(room + 4, 8);
  EACH("read at", uv_fs_read(&loop, &req, fd, parts, 2, 0, cb));
  printf("read %s\n", room);
  EACH("read the end", uv_fs_read(&loop, &req, fd, parts, 2, -1, cb));
  EACH("read a bad fd", uv_fs_read(&loop, &req, 1000, parts, 2, -1, cb));
  EACH("ftruncate", uv_fs_ftruncate(&loop, &req, fd, 10, cb));
  EACH("fchmod", uv_fs_fchmod(&loop, &req, fd, 0600, cb));
  EACH("futime", uv_fs_futime(&loop, &req, fd, 1000.25, 2000.5, cb));
  EACH("fchown", uv_fs_fchown(&loop, &req, fd, getuid(), getgid(), cb));
  CHECK(uv_fs_stat(NULL, &req, path, NULL) == 0 && stat(path, &status) == 0);
  printf("size %d mode %o times %ld.%ld %ld.%ld\n", (int)req.statbuf.st_size, (int)req.statbuf.st_mode, req.statbuf.st_atim.tv_sec, req.statbuf.st_atim.tv_nsec, req.statbuf.st_mtim.tv_sec, req.statbuf.st_mtim.tv_nsec);
  CHECK(req.statbuf.st_ino == status.st_ino && req.statbuf.st_dev == status.st_dev && req.statbuf.st_nlink == 1 && req.statbuf.st_uid == status.st_uid && req.statbuf.st_rdev == status.st_rdev && req.statbuf.st_blksize == (uint64_t)status.st_blksize && req.statbuf.st_blocks == (uint64_t)status.st_blocks);
  CHECK(req.statbuf.st_birthtim.tv_sec > 2000);
  uv_fs_req_cleanup(&req);

  EACH("stat", uv_fs_stat(&loop, &req, path, cb));
  EACH("lstat nothing", uv_fs_lstat(&loop, &req, in(other, "nothing"), cb));
  printf("system error %d\n", uv_fs_lstat(NULL, &req, other, NULL) == UV_ENOENT && uv_fs_get_system_error(&req) == ENOENT);
  uv_fs_req_cleanup(&req);
  EACH("access", uv_fs_access(&loop, &req, path, R_OK | W_OK, cb));
  EACH("chmod", uv_fs_chmod(&loop, &req, path, 0644, cb));
  EACH("chown", uv_fs_chown(&loop, &req, path, getuid(), getgid(), cb));
  EACH("utime", uv_fs_utime(&loop, &req, path, 3000, 4000.125, cb));
  BOTH("symlink", uv_fs_symlink(&loop, &req, "file", in(other, "link"), 0, cb), uv_fs_symlink(&loop, &req, "nowhere", in(other, "link 2"), 0, cb));
  EACH("symlink again", uv_fs_symlink(&loop, &req, "file", in(other, "link"), 0, cb));
  EACH("readlink", uv_fs_readlink(&loop, &req, other, cb));
  CHECK(uv_fs_readlink(NULL, &req, other, NULL) == 0);
  printf("to %s\n", (char*)req.ptr);
  uv_fs_req_cleanup(&req);
  EACH("readlink of a file", uv_fs_readlink(&loop, &req, path, cb));
  EACH("realpath", uv_fs_realpath(&loop, &req, other, cb));
  CHECK(uv_fs_realpath(NULL, &req, other, NULL) == 0 && !strcmp(req.ptr, path));
  uv_fs_req_cleanup(&req);
  EACH("realpath of nothing", uv_fs_realpath(&loop, &req, "/there is nothing", cb));
  EACH("lutime", uv_fs_lutime(&loop, &req, other, 5000, 6000, cb));
  EACH("lchown", uv_fs_lchown(&loop, &req, other, getuid(), getgid(), cb));
  CHECK(uv_fs_lstat(NULL, &req, other, NULL) == 0);
  printf("link %d, %ld\n", S_ISLNK(req.statbuf.st_mode), req.statbuf.st_mtim.tv_sec);
  uv_fs_req_cleanup(&req);
  BOTH("link", uv_fs_link(&loop, &req, path, in(other, "hard"), cb), uv_fs_link(&loop, &req, path, in(other, "hard 2"), cb));
  BOTH("rename", uv_fs_rename(&loop, &req, other, "/tmp/no such folder/x", cb), uv_fs_rename(&loop, &req, other, "/tmp/no such folder/x", cb));
  BOTH("mkdir", uv_fs_mkdir(&loop, &req, in(other, "sub"), 0700, cb), uv_fs_mkdir(&loop, &req, in(other, "sub"), 0700, cb));
  EACH("unlink a folder", uv_fs_unlink(&loop, &req, other, cb));
  EACH("rmdir a file", uv_fs_rmdir(&loop, &req, path, cb));
  names("scandir");
  EACH("scandir", uv_fs_scandir(&loop, &req, folder, 0, cb));
  EACH("scandir of a file", uv_fs_scandir(&loop, &req, path, 0, cb));
  EACH("scandir of none", uv_fs_scandir(&loop, &req, other, 0, cb));

  puts("directories");
  EACH("opendir a file", uv_fs_opendir(&loop, &req, path, cb));
  CHECK(uv_fs_opendir(NULL, &req, folder, NULL) == 0);
  uv_dir_t* dir = req.ptr;
  uv_dirent_t entries[4];
  uv_fs_req_cleanup(&req);
  dir->dirents = entries, dir->nentries = 4;
  int total = 0, count;
  while ((count = uv_fs_readdir(NULL, &req, dir, NULL)) > 0) {
    for (int i = 0; i < count; i++) total += entries[i].type * 100 + 1;
    CHECK(req.ptr == dir);
    uv_fs_req_cleanup(&req);
  }
  printf("entries %d, end %d\n", total, count);
  uv_fs_req_cleanup(&req);
  said("closedir", uv_fs_closedir(NULL, &req, dir, NULL));
  result("close nothing", uv_fs_closedir(NULL, &req, NULL, NULL));

  puts("copies");
  BOTH("copy", uv_fs_copyfile(&loop, &req, path, in(other, "copy"), 0, cb), uv_fs_copyfile(&loop, &req, path, in(other, "copy"), UV_FS_COPYFILE_FICLONE, cb));
  EACH("copy to an old one", uv_fs_copyfile(&loop, &req, path, other, UV_FS_COPYFILE_EXCL, cb));
  EACH("copy to itself", uv_fs_copyfile(&loop, &req, path, path, 0, cb));
  EACH("copy nothing", uv_fs_copyfile(&loop, &req, "/there is nothing", other, 0, cb));
  result("unknown flags", uv_fs_copyfile(NULL, &req, path, other, 100, NULL));
  CHECK(stat(other, &status) == 0);
  printf("copied %d bytes, mode %o\n", (int)status.st_size, status.st_mode);
  int to = open(other, O_WRONLY | O_TRUNC);
  EACH("sendfile", uv_fs_sendfile(&loop, &req, to, fd, 2, 5, cb));
  close(to);
  CHECK(stat(other, &status) == 0);
  printf("sent %d\n", (int)status.st_size);
  sprintf(other, "%s/XXXXXX", folder);
  CHECK((to = uv_fs_mkstemp(NULL, &req, other, NULL)) >= 0 && strlen(req.path) == strlen(other) && strcmp(req.path, other));
  close(to);
  unlink(req.path);
  uv_fs_req_cleanup(&req);
  said("bad template", uv_fs_mkstemp(NULL, &req, "/tmp/none", NULL));
  CHECK(uv_fs_statfs(NULL, &req, folder, NULL) == 0);
  uv_statfs_t* files = req.ptr;
  CHECK(files->f_bsize > 0 && files->f_blocks >= files->f_bfree);
  said("statfs", 0);
  EACH("statfs of nothing", uv_fs_statfs(&loop, &req, "/there is nothing", cb));
  said("close", uv_fs_close(NULL, &req, fd, NULL));
  EACH("close again", uv_fs_close(&loop, &req, fd, cb));

  CHECK(uv_fs_stat(NULL, &req, path, NULL) == 0);
  uv_fs_req_cleanup(&req);
  sprintf(path, "rm -r %s", folder);
  CHECK(system(path) == 0);
  result("close", uv_loop_close(&loop));
  return 0;
}

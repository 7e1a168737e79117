
static void die(const char *what) { perror(what); exit(2); }
static int found(int is, const char *what) { printf("%sFOUND: %s\n", is ? "" : "NOT ", what); return is; }

/* A file of this length, opened. It has to be accessed by DAX. */
static int make(const char *name, size_t len)
{
	char *bytes = memset(malloc(len), 'A', len);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct statx is = { 0 };

	if (write(fd, bytes, len) != (ssize_t)len || fsync(fd) || statx(fd, "", AT_EMPTY_PATH, 0, &is))
		die(name);
	if (!(is.stx_attributes & STATX_ATTR_DAX))
		die("the directory is not accessed by DAX");
	return fd;
}

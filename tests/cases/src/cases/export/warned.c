
/* Whether the kernel's log has a warning from after the call that opened it. */
static int warned(int log)
{
	char line[8192];
	ssize_t len;
	int is = 0;

	while ((len = read(log, line, sizeof(line) - 1)) > 0) {
		line[len] = 0;
		is |= strstr(line, "WARNING: ") || strstr(line, "BUG");
	}
	return is;
}

static int open_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		die("/dev/kmsg");
	return log;
}

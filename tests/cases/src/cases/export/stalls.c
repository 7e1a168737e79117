
int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	/* More ranges of 2 MiB than a window of less than 1 GiB has. */
	size_t len = 1 << 30;
	int fd = make("file", 4096), other = make("other", 4096);

	if (ftruncate(other, len))
		die("ftruncate");
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *others = mmap(NULL, len, PROT_READ, MAP_SHARED, other, 0), byte;

	@PARENT@;
	pid_t child = fork();
	if (!child) {
		@CHILD@;
		for (size_t at = 0; at < len; at += 2 << 20)
			if (@ACCESS@)
				die("the access");
		_exit(0);
	}
	int stalled = !ended(child, 60000);
	kill(child, SIGKILL);
	return found(stalled, "@STATEMENT@");
}

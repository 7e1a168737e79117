
int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	pid_t child = fork();

	if (!child) {
		for (int i = 0; i < 100; i++) {
			int fd = make("file", 4096);
			char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

			page[0] = 'B';
			if (unlink("file") || munmap(page, 4096) || close(fd))
				die("unlink");
		}
		_exit(0);
	}
	return found(!ended(child, 60000), "the close of an unlinked file hangs the share");
}


int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	int fd = make("file", 4096), same = 0;
	struct stat before, after;

	for (int i = 0; i < 3 && !same; i++) {
		if (pwrite(fd, "x", 1, 0) != 1 || fstat(fd, &before))
			die("writing");
		sleep(2);
		if (pwrite(fd, "x", 1, 0) != 1 || fstat(fd, &after))
			die("writing");
		same = before.st_mtime == after.st_mtime;
	}
	return found(same, "a write two seconds later leaves mtime as it was");
}

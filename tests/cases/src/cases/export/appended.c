
int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	int fd = make("file", 4096);
	struct stat is;
	char byte;

	if (pread(fd, &byte, 1, 4096) != 0)
		die("the file is not as long as it was made");
	puts("On the host: echo more >> file. Then press Enter.");
	fflush(stdout);
	getchar();
	ssize_t count = pread(fd, &byte, 1, 4096);
	if (stat("file", &is) || is.st_size <= 4096)
		die("nothing was appended on the host");
	return found(count == 0, "a read at the end of an open file does not see what was appended");
}

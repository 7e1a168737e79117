
int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	int fd = make("file", 4 << 20);
	char *bytes = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	bytes[4096] = 'B';
	return found(fsync(fd) != 0, "fsync fails after a store to a mapping");
}

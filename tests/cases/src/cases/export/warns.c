
int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	int fd = make("file", @LENGTH@), other = make("other", @LENGTH@), log = open_log();
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, @OFFSET@);

	@ACCESS@;
	@ACT@;
	return found(warned(log), "the kernel warns");
}

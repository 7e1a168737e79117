
int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("give a directory");
	int @FILES@, early;
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, @OFFSET@);

	@ACCESS@;
	hold(page);
	@BETWEEN@;
	pid_t remover = fork();
	if (!remover) {
		release();
		if (@REMOVAL@)
			die("the removal");
		_exit(0);
	}
	early = ended(remover, 1000) && held();
	@DURING@;
	while (!early && held())
		early = ended(remover, 10) && held();
	release();
	if (early)
		return found(@MUST_WAIT@, "it returned while the page was in use");
	if (ended(remover, 20000))
		return found(!@MUST_WAIT@, "it returned when the page was no longer in use");
	return kill(remover, SIGKILL), found(1, "it did not return when the page was no longer in use");
}

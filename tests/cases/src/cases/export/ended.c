
/* Whether a child has ended, within so many milliseconds. */
static int ended(pid_t pid, int within)
{
	int status;

	for (; waitpid(pid, &status, WNOHANG) == 0; usleep(1000))
		if (within-- <= 0)
			return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status))
		exit(2);
	return 1;
}


/* Gives the page to direct I/O of a null_blk disk, which takes five seconds for it. */
static aio_context_t context;
static void hold(char *page)
{
	struct iocb request = { .aio_lio_opcode = @OPCODE@, .aio_nbytes = 4096 }, *one = &request;

	system("mount -t configfs none /sys/kernel/config; cd /sys/kernel/config/nullb && mkdir held && "
	       "cd held && echo 2 >irqmode && echo 5000000000 >completion_nsec && echo 1 >power");
	request.aio_fildes = open("/dev/held", O_RDWR | O_DIRECT), request.aio_buf = (unsigned long)page;
	if (syscall(SYS_io_setup, 1, &context) || syscall(SYS_io_submit, context, 1, &one) != 1)
		die("a transfer of /dev/held");
}
static int held(void)
{
	static int over;
	struct io_event event;

	over |= syscall(SYS_io_getevents, context, 1, 1, &event, &(struct timespec){ 0 }) == 1;
	return !over;
}
static void release(void) { }

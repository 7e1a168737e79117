
int main(int argc, char **argv)
{
	if (argc != 3 || chdir(argv[1]))
		die("give a directory, and the device's name below /sys/bus/virtio/devices");
	int fd = make("file", 4096), driver = open("/sys/bus/virtio/drivers/virtiofs/unbind", O_WRONLY);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), bytes[4096];

	page[0] = 'A';
	hold(page);
	if (munmap(page, 4096) || write(driver, argv[2], strlen(argv[2])) < 0)
		die("unbind");
	driver = open("/sys/bus/virtio/drivers/virtiofs/bind", O_WRONLY);
	if (write(driver, argv[2], strlen(argv[2])) < 0)
		die("bind");
	if (read(ends[0], bytes, 4096) != 4096)
		die("reading the pipe");
	return found(bytes[0] != 'A', "the pipe gives other bytes than were put into it");
}

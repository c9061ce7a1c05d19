package sandbox

import (
	"context"
	"strconv"
	"strings"
	"syscall"
)

// DownAbandoned ends the sandboxes named <prefix>-<number> for which no process of that number runs any more: those of test runs that
// were killed before they could end them.
func DownAbandoned(ctx context.Context, home Home, prefix string, progress *Progress) error {
	names, err := List(home)
	if err != nil {
		return err
	}
	alive := func(pid int) bool { return syscall.Kill(pid, 0) == nil }
	for _, name := range abandoned(names, prefix, alive) {
		if err := Down(ctx, home, name, progress); err != nil {
			return err
		}
	}
	return nil
}

func abandoned(names []string, prefix string, alive func(pid int) bool) (gone []string) {
	for _, name := range names {
		number, ours := strings.CutPrefix(name, prefix+"-")
		pid, err := strconv.Atoi(number)
		if ours && err == nil && !alive(pid) {
			gone = append(gone, name)
		}
	}
	return gone
}

// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"strconv"
	"strings"
	"syscall"
)

// DownAbandoned tears down the sandboxes named <prefix>-<pid> whose process no longer runs. They belong to test runs
// that were killed before they could tear them down.
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

// Command woven-sandbox runs a whole Kubernetes cluster with OVN on one Linux machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// The first stage of a capsule stays on the process's first thread. It becomes the second stage by exec(2), and if another thread
// did that, the process would for a moment have the state of its dying first thread: to others a zombie without namespaces.
func init() {
	if len(os.Args) > 1 && os.Args[1] == sandbox.EnterCommand {
		runtime.LockOSThread()
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := os.Setenv("PATH", sandbox.SearchPath(os.Getenv("PATH")))
	if err == nil {
		err = newRoot().ExecuteContext(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "woven-sandbox:", err)
		stop()
		os.Exit(1)
	}
}

// Command woven-sandbox runs a whole Kubernetes cluster with OVN on one Linux machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "woven-sandbox:", err)
		stop()
		os.Exit(1)
	}
}

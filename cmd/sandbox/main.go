// Command woven-sandbox runs a whole Kubernetes cluster with OVN on one Linux machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/wovensdn/woven/pkg/sandbox"
)

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

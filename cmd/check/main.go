// Command woven-check compares the API server, OVN's databases and the nodes,
// and prints every difference.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard()) // the API client complains without one; what matters is in the errors
	err := newCommand().ExecuteContext(ctx)
	switch {
	case errors.Is(err, errDifferences):
		stop()
		os.Exit(1)
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "woven-check:", err)
		stop()
		os.Exit(2)
	}
}

// Command peer is what the pods of the end-to-end tests run: a small server that
// tells each caller as whom it sees it, and a client that asks many others at once.
//
//	peer serve            answer on the ports below
//	peer check TARGETS    ask, from wherever it runs; TARGETS is a JSON list
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "peer:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) == 3 && os.Args[1] == "check" {
		var targets []wire.Target
		if err := json.Unmarshal([]byte(os.Args[2]), &targets); err != nil {
			return fmt.Errorf("parse targets: %w", err)
		}
		return json.NewEncoder(os.Stdout).Encode(wire.Ask(ctx, targets))
	}
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		return serve(ctx)
	}
	return fmt.Errorf("usage: peer serve | peer check TARGETS")
}

func serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ready") })
	mux.HandleFunc("POST /check", func(w http.ResponseWriter, r *http.Request) {
		var targets []wire.Target
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&targets); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(wire.Ask(r.Context(), targets))
	})
	listen := net.ListenConfig{}
	hello, err := listen.Listen(ctx, "tcp", fmt.Sprintf(":%d", wire.HelloPort))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Addr: fmt.Sprintf(":%d", wire.HTTPPort), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(server.ListenAndServe)
	g.Go(func() error { return greet(hello) })
	g.Go(func() error {
		<-ctx.Done()
		_, _ = server.Close(), hello.Close()
		return nil
	})
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// greet tells each caller its address.
func greet(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		_, _ = fmt.Fprintln(conn, conn.RemoteAddr())
		_ = conn.Close()
	}
}

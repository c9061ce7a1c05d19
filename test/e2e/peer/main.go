// SPDX-License-Identifier: Apache-2.0

// Command peer runs in the pods of the end-to-end tests: a small server that replies to each client with the client's
// address, and a client that connects to many targets at once.
//
// peer serve            serve the ports below
// peer check TARGETS    connect to TARGETS, a JSON list
// peer relay POD TARGETS    let the peer at address POD check TARGETS
// peer stream ADDRESS   send a datagram every 50 ms to a server that replies with the source address; print the replies
// peer one-stream ADDRESS   the same from one port
// peer associate ADDRESS   send SCTP INIT packets to an address, until interrupted
// peer forge FRAMES     send FRAMES, a JSON list, on eth0
// peer listen PORT...   print the datagrams that arrive on UDP ports
// peer steady POD       ping POD a hundred times in ten seconds; fail if more than one in ten is lost
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wovensdn/woven/test/e2e/peer/forge"
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

// sending are the commands that send to an address until they are interrupted.
var sending = map[string]func(ctx context.Context, address string, out io.Writer) error{
	"stream":     wire.Stream,
	"one-stream": wire.OneStream,
	"associate":  func(ctx context.Context, address string, _ io.Writer) error { return wire.Associate(ctx, address) },
}

// withOne are the commands with one argument, besides [sending].
var withOne = map[string]func(ctx context.Context, argument string) error{"check": check, "forge": forgeFrames, "steady": steady}

func run(ctx context.Context) error {
	switch args := os.Args[1:]; {
	case len(args) == 2 && withOne[args[0]] != nil:
		return withOne[args[0]](ctx, args[1])
	case len(args) == 2 && sending[args[0]] != nil:
		return sending[args[0]](ctx, args[1], os.Stdout)
	case len(args) == 3 && args[0] == "relay":
		return relay(ctx, args[1], args[2])
	case len(args) >= 2 && args[0] == "listen":
		return listen(ctx, args[1:])
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx)
	}
	return errors.New("usage: peer serve | peer check TARGETS | peer relay POD TARGETS | peer forge FRAMES | peer listen PORT... | peer steady POD | peer stream ADDRESS | peer one-stream ADDRESS | peer associate ADDRESS")
}

func check(ctx context.Context, list string) error {
	var targets []wire.Target
	if err := json.Unmarshal([]byte(list), &targets); err != nil {
		return fmt.Errorf("parse targets: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(wire.Ask(ctx, targets))
}

func forgeFrames(_ context.Context, list string) error {
	var frames []forge.Frame
	if err := json.Unmarshal([]byte(list), &frames); err != nil {
		return fmt.Errorf("parse frames: %w", err)
	}
	return forge.Send("eth0", frames)
}

func steady(ctx context.Context, address string) error {
	sent, lost := wire.Steady(ctx, address)
	fmt.Printf("%d of %d lost", lost, sent)
	if lost > sent/10 {
		return fmt.Errorf("%d of %d echo requests were lost", lost, sent)
	}
	return nil
}

func listen(ctx context.Context, args []string) error {
	var ports []int
	for _, arg := range args {
		port, err := strconv.Atoi(arg)
		if err != nil {
			return fmt.Errorf("parse a port: %w", err)
		}
		ports = append(ports, port)
	}
	return wire.Listen(ctx, ports, os.Stdout)
}

func relay(ctx context.Context, pod, targets string) error {
	url := "http://" + net.JoinHostPort(pod, strconv.Itoa(wire.HTTPPort)) + "/check"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(targets)) //nolint:gosec // the test says whom to ask
	if err != nil {
		return fmt.Errorf("create request: %w", err)
	}
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request) //nolint:gosec // the test says whom to ask
	if err != nil {
		return fmt.Errorf("call the peer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the peer returned %s", response.Status)
	}
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return fmt.Errorf("read the response: %w", err)
	}
	return nil
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
	datagrams, err := listen.ListenPacket(ctx, "udp", fmt.Sprintf(":%d", wire.HelloPort))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Addr: fmt.Sprintf(":%d", wire.HTTPPort), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(server.ListenAndServe)
	g.Go(func() error { return greet(hello) })
	g.Go(func() error { return greetDatagrams(datagrams) })
	g.Go(func() error {
		<-ctx.Done()
		_, _, _ = server.Close(), hello.Close(), datagrams.Close()
		return nil
	})
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// greet replies to each connection with its source and destination addresses.
func greet(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		_, _ = fmt.Fprintln(conn, conn.RemoteAddr(), conn.LocalAddr())
		_ = conn.Close()
	}
}

// greetDatagrams replies to each datagram with its source address.
func greetDatagrams(c net.PacketConn) error {
	buffer := make([]byte, 64)
	name, _ := os.Hostname() // that of the pod
	for {
		_, from, err := c.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		_, _ = c.WriteTo([]byte(from.String()+" "+name), from)
	}
}

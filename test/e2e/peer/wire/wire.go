// SPDX-License-Identifier: Apache-2.0

// Package wire is the protocol between tests and peers.
package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// HTTPPort serves /ready and /check.
	HTTPPort = 8080
	// HelloPort replies to each connection and each datagram with its source address.
	HelloPort = 7000
)

// retryTimeout is how long a target is retried; attempt bounds one attempt. The first packet between two pods waits for
// ARP and for flows.
const (
	retryTimeout = 15 * time.Second
	attempt      = 2 * time.Second
)

// How to connect to a target.
const (
	Ping    = "ping"    // one echo request
	Connect = "connect" // a TCP connection, closed at once
	Hello   = "hello"   // a TCP connection, with our source address as reply
	Send    = "send"    // a datagram, with our source address as reply
	Get     = "get"     // an HTTP request: the reply has the status, a header and the body
)

// Target is what to connect to, and how.
type Target struct {
	How     string `json:"how"`
	Address string `json:"address"` // an IP address, for TCP with a port
	// Refused expects the connection or the datagram to be refused.
	Refused bool `json:"refused,omitempty"`
	// Silent expects no reply at all, in one attempt.
	Silent bool `json:"silent,omitempty"`
	// Source is the source address; empty leaves it to the kernel.
	Source string `json:"source,omitempty"`
}

// Answer is the result of a target. Error is empty if the target replied as expected.
type Answer struct {
	Target
	SeenAs string `json:"seenAs,omitempty"` // with Hello and Send
	By     string `json:"by,omitempty"`     // who replied: its address with Hello, the name of the pod with Send
	Body   string `json:"body,omitempty"`   // with Get
	Error  string `json:"error,omitempty"`
	Tries  int    `json:"tries"`
}

// Ask connects to all targets concurrently.
func Ask(ctx context.Context, targets []Target) []Answer {
	answers := make([]Answer, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { answers[i] = insist(ctx, t, i) })
	}
	wg.Wait()
	return answers
}

func insist(ctx context.Context, t Target, id int) Answer {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	for a := (Answer{Target: t}); ; {
		a.Tries++
		err := askOnce(ctx, &a, id)
		if t.Silent {
			return silent(a, err)
		}
		switch refused := errors.Is(err, syscall.ECONNREFUSED); {
		case t.Refused && refused:
			err = nil
		case t.Refused && err == nil:
			err = errors.New("got a reply, want it refused")
		}
		if err == nil {
			a.Error = ""
			return a
		}
		a.Error = err.Error()
		select {
		case <-ctx.Done():
			return a
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// silent expects that the attempt timed out.
func silent(a Answer, err error) Answer {
	switch late := net.Error(nil); {
	case err == nil:
		a.Error = "got a reply, want none"
	case !errors.As(err, &late) || !late.Timeout():
		a.Error = "want no reply: " + err.Error()
	}
	return a
}

func askOnce(ctx context.Context, a *Answer, id int) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if a.How == Ping {
		return ping(ctx, a.Address, os.Getpid()<<8+id)
	}
	if a.How == Send {
		var err error
		a.SeenAs, a.By, err = datagramFrom(ctx, a.Source, a.Address)
		return err
	}
	if a.How == Get {
		return get(ctx, a)
	}
	dialer := &net.Dialer{}
	if a.Source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(a.Source)}
	}
	conn, err := dialer.DialContext(ctx, "tcp", a.Address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if a.How == Connect {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the reply: %w", err)
	}
	for i, word := range strings.Fields(line) {
		seen, err := netip.ParseAddrPort(word)
		if err != nil {
			return fmt.Errorf("reply %q: %w", line, err)
		}
		*[]*string{&a.SeenAs, &a.By}[min(i, 1)] = seen.Addr().Unmap().String()
	}
	return nil
}

// get sends an HTTP request.
func get(ctx context.Context, a *Answer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Address+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	a.Body = fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("X-Load-Balancing-Endpoint-Weight"), strings.TrimSpace(string(body)))
	return err
}

// Steady sends an echo request every 100 ms for ten seconds, and counts those without a reply within a second.
func Steady(ctx context.Context, address string) (sent, lost int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for sent = range 100 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := ping(ctx, address, os.Getpid()<<8+sent); err != nil {
				mu.Lock()
				defer mu.Unlock()
				lost++
			}
		})
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	wg.Wait()
	return sent + 1, lost
}

// ping sends an echo request and waits for its reply.
func ping(ctx context.Context, address string, id int) error {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	id &= 0xffff
	network, local := "ip4:icmp", "0.0.0.0"
	var request icmp.Type = ipv4.ICMPTypeEcho
	if to.Is6() {
		network, local, request = "ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest
	}
	conn, err := icmp.ListenPacket(network, local)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	message, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("woven")}}).Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := conn.WriteTo(message, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	return awaitReply(conn, to, id)
}

// awaitReply waits for our reply and skips other packets on the raw socket.
func awaitReply(conn *icmp.PacketConn, from netip.Addr, id int) error {
	protocol := 1
	var reply icmp.Type = ipv4.ICMPTypeEchoReply
	if from.Is6() {
		protocol, reply = 58, ipv6.ICMPTypeEchoReply
	}
	buffer := make([]byte, 1500)
	for {
		n, sender, err := conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("no echo reply")
		}
		if err != nil {
			return err
		}
		if ip, ok := sender.(*net.IPAddr); !ok || !ip.IP.Equal(from.AsSlice()) {
			continue
		}
		parsed, err := icmp.ParseMessage(protocol, buffer[:n])
		if err != nil || parsed.Type != reply {
			continue
		}
		if echo, ok := parsed.Body.(*icmp.Echo); ok && echo.ID == id {
			return nil
		}
	}
}

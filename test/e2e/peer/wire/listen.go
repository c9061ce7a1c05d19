// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// EndText is the datagram that ends [Listen].
	EndText = "end"
	// ListenPort is a port that nothing else uses, in pods and on nodes.
	ListenPort = 7001

	listenTimeout = 40 * time.Second
)

// Heard is a datagram that arrived, or the start of listening if Port is 0.
type Heard struct {
	Port   int    `json:"port"`
	Text   string `json:"text"`
	Source string `json:"source"` // address and port
}

// Listen writes the datagrams that arrive on UDP ports to out, as lines of JSON, the first of them when the ports are
// open. It returns when [EndText] arrives, or after 40 s.
func Listen(ctx context.Context, ports []int, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	var sockets []net.PacketConn
	for _, port := range ports {
		socket, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		sockets = append(sockets, socket)
	}
	context.AfterFunc(ctx, func() {
		for _, socket := range sockets {
			_ = socket.Close()
		}
	})
	heard := make(chan Heard)
	var g errgroup.Group
	for i, socket := range sockets {
		g.Go(func() error { return receive(ctx, socket, ports[i], heard) })
	}
	encoder := json.NewEncoder(out)
	err := encoder.Encode(Heard{})
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case h := <-heard:
			if h.Text == EndText {
				cancel()
			}
			err = encoder.Encode(h)
		}
	}
	cancel()
	_ = g.Wait()
	return err
}

func receive(ctx context.Context, socket net.PacketConn, port int, heard chan<- Heard) error {
	buffer := make([]byte, 1500)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		select {
		case heard <- Heard{Port: port, Text: string(buffer[:n]), Source: from.String()}:
		case <-ctx.Done():
			return nil
		}
	}
}

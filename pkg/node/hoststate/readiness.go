// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// knockInterval is between two tries to reach our own socket while it is not there yet.
const knockInterval = 100 * time.Millisecond

// WatchSocket calls [Reconciler.SetServing] once something accepts connections on the socket that the configuration
// names. The configuration must not be written earlier: requests of the runtime would fail.
func (l *Reconciler) WatchSocket(ctx context.Context) {
	var d net.Dialer
	for ctx.Err() == nil {
		conn, err := d.DialContext(ctx, "unix", l.cfg.Conf.Socket)
		if err == nil {
			_ = conn.Close()
			l.SetServing(true)
			return
		}
		select {
		case <-ctx.Done():
		case <-l.e.Clock.After(knockInterval):
		}
	}
}

// Probe responds 200 while check returns nil, else 503 with the reason.
func Probe(check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
}

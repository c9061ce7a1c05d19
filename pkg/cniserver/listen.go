// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

const (
	socketMode = 0o600
	// maxSocketPath is the size of sun_path (unix(7)) minus the terminating zero.
	maxSocketPath = 107
	// maxConnections bounds all connections, idle ones included.
	maxConnections = 1024
	probeTimeout   = 2 * time.Second
)

// listen opens the unix socket at path for the given users. It creates a missing directory for root alone. An existing
// directory is shared with others, such as /run/openvswitch, and not changed: the mode of the socket and the check of
// each peer's uid protect the socket.
func listen(ctx context.Context, path string, uids []uint32, log logr.Logger) (net.Listener, error) {
	if !filepath.IsAbs(path) || len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket %q: want an absolute path of at most %d characters", path, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("socket %q: create directory: %w", path, err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("socket %q: %w", path, err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// bind(2) creates the file with the mode of the socket's inode, so it never has a wider mode.
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), socketMode) })
		return errors.Join(err, chmodErr)
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket %q: listen: %w", path, err)
	}
	return netutil.LimitListener(&peerListener{Listener: l, uids: uids, log: log}, maxConnections), nil
}

// removeStale removes the socket of a killed server. The socket of a running server is an error.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("exists and is not a socket")
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(errors.New("another server is listening on it"), conn.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("examine: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// peerListener accepts connections only from certain users.
type peerListener struct {
	net.Listener
	uids []uint32
	log  logr.Logger
}

// Accept waits for a connection from an allowed user. It closes others.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && slices.Contains(l.uids, uid) {
			return conn, nil
		}
		l.log.Info("refused connection", "uid", uid, "error", err)
		// The peer is refused, so the error does not matter.
		_ = conn.Close()
	}
}

// peerUID is the uid of the connected process, from SO_PEERCRED (unix(7)).
func peerUID(conn net.Conn) (uint32, error) {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("connection is a %T", conn)
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return 0, fmt.Errorf("read peer credentials: %w", err)
	}
	return cred.Uid, nil
}

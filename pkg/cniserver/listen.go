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
	// maxSocketPath is the room in sockaddr_un, unix(7), less the final zero.
	maxSocketPath = 107
	// maxConnections bounds connections, whether or not they have sent a request.
	maxConnections = 1024
	probeTimeout   = 2 * time.Second
)

// listen opens the unix socket at path for the given users. A directory that is missing is made for root alone; one that
// exists is shared with others, such as /run/openvswitch, and left as it is: there the mode of the socket and the check
// of each peer's uid protect it.
func listen(ctx context.Context, path string, uids []uint32, log logr.Logger) (net.Listener, error) {
	if !filepath.IsAbs(path) || len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket %q: want an absolute path of at most %d characters", path, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("socket %q: make directory: %w", path, err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("socket %q: %w", path, err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// bind(2) makes the file with the mode of the socket's inode, so that there is no moment with a wider one.
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

// removeStale removes the socket that a killed server left, and refuses to take the place of a living one.
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
		return fmt.Errorf("remove the one a former server left: %w", err)
	}
	return nil
}

// peerListener accepts connections of certain users only.
type peerListener struct {
	net.Listener
	uids []uint32
	log  logr.Logger
}

// Accept waits for a connection of an allowed user; others are closed.
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
		l.log.Info("refused a connection", "uid", uid, "error", err)
		// The peer is not served: nothing depends on how the connection ends.
		_ = conn.Close()
	}
}

// peerUID is the user that connected, by SO_PEERCRED (unix(7)).
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

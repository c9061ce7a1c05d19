// SPDX-License-Identifier: Apache-2.0

package healthport

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// freePort is one that nobody listens on.
func freePort(t *testing.T) uint16 {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func get(ctx context.Context, port uint16) (status int, header http.Header, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(int(port))+"/healthz", nil)
	if err != nil {
		return 0, nil, "", err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(text), err
}

// The answers are those of kube-proxy.
func TestAnswers(t *testing.T) {
	var s Servers
	defer s.Close()
	web, port := types.NamespacedName{Namespace: "shop", Name: "web"}, freePort(t)
	for backends, want := range map[int]int{0: 503, 2: 200, 1: 200} {
		if err := s.Set(t.Context(), map[types.NamespacedName]Check{web: {port, backends}}); err != nil {
			t.Fatal(err)
		}
		status, header, body, err := get(t.Context(), port)
		wantBody := `{"service":{"namespace":"shop","name":"web"},"localEndpoints":` + strconv.Itoa(backends) + `,"serviceProxyHealthy":true}`
		if err != nil || status != want || strings.TrimSpace(body) != wantBody {
			t.Errorf("%d backends: %d %s, %v", backends, status, body, err)
		}
		if header.Get("X-Load-Balancing-Endpoint-Weight") != strconv.Itoa(backends) || header.Get("Content-Type") != "application/json" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("header %v", header)
		}
	}
}

// Servers come, move and go with their Services; one whose port is taken does not stop the others.
func TestServersComeAndGo(t *testing.T) {
	var s Servers
	defer s.Close()
	web, other := types.NamespacedName{Namespace: "shop", Name: "web"}, types.NamespacedName{Namespace: "shop", Name: "other"}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	takenPort := taken.Addr().(*net.TCPAddr).AddrPort().Port()
	first, second := freePort(t), freePort(t)
	want := map[types.NamespacedName]Check{web: {first, 1}, other: {takenPort, 1}}
	if err := s.Set(t.Context(), want); err == nil || !strings.Contains(err.Error(), "healthCheckNodePort of Service shop/other") {
		t.Errorf("error %v", err)
	}
	if status, _, _, err := get(t.Context(), first); status != 200 {
		t.Error(status, err)
	}
	_ = taken.Close()
	want[web] = Check{second, 1}
	if err := s.Set(t.Context(), want); err != nil {
		t.Error(err)
	}
	for port, served := range map[uint16]bool{first: false, second: true, takenPort: true} {
		if _, _, _, err := get(t.Context(), port); (err == nil) != served {
			t.Errorf("port %d is served: %v, want %t", port, err, served)
		}
	}
	if err := s.Set(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, port := range []uint16{second, takenPort} {
		if _, _, _, err := get(t.Context(), port); err == nil {
			t.Errorf("port %d is still served", port)
		}
	}
}

package webhook

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/utils/clock"
)

func TestServerConfig(t *testing.T) {
	for address, cause := range map[string]string{
		"nowhere": "missing port", ":0": "no port", ":http": "no port", "127.0.0.1:70000": "no port",
	} {
		if _, err := NewServer(ServerConfig{BindAddress: address}); err == nil || !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: error is %v", address, err)
		}
	}
	if _, err := NewServer(ServerConfig{BindAddress: ":9443", CertDir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "tls.crt") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	server := httptest.NewServer(bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		if n > maxRequest {
			t.Errorf("%d bytes were read", n)
		}
	}), clock.RealClock{}))
	defer server.Close()
	for size, want := range map[int]int{1000: http.StatusOK, maxRequest + 1: http.StatusRequestEntityTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%d bytes: %s", size, response.Status)
		}
	}
}

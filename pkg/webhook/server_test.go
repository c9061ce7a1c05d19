// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/kube"
)

func TestServerConfig(t *testing.T) {
	for address, cause := range map[string]string{
		"nowhere": "missing port", ":0": "not a port", ":http": "not a port", "127.0.0.1:70000": "not a port",
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
			t.Errorf("the handler read %d bytes", n)
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

// The server uses the certificate in a directory, and the new one when the files change.
func TestServesFromDirectory(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	dir := t.TempDir()
	renew := func() (ca []byte) {
		data, err := issue([]string{"127.0.0.1"}, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{keyKey, keyCert} {
			if err := os.WriteFile(filepath.Join(dir, name), data[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return data[keyCA]
	}
	ca := renew()
	server, err := NewServer(ServerConfig{
		BindAddress: address, CertDir: dir, Clock: clock.RealClock{}, Reviewer: &Reviewer{Kinds: kube.AllKinds(), Cluster: testCluster(), Log: testr.New(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	review := request(t, admissionv1.Create, "", pod("one", "x", wants+"10.0.0.10")).AdmissionRequest
	review.UID = "1"
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &review,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"first", "second"} {
		var last error
		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			var reply *admissionv1.AdmissionReview
			reply, last = post(ctx, "https://"+address+Path, ca, body)
			if last == nil && (reply.Response.Allowed || reply.Response.UID != "1" || !strings.Contains(reply.Response.Result.Message, "belongs to pod one/db-0")) {
				t.Errorf("%s certificate: %+v", what, reply.Response)
			}
			return last == nil, nil
		})
		if err != nil {
			t.Fatalf("%s certificate: %v, %v", what, err, last)
		}
		ca = renew()
	}
}

// post sends a request over a new connection to a server with a certificate of this CA.
func post(ctx context.Context, url string, ca, body []byte) (*admissionv1.AdmissionReview, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	reply := &admissionv1.AdmissionReview{}
	err = json.NewDecoder(response.Body).Decode(reply)
	return reply, errors.Join(err, response.Body.Close())
}

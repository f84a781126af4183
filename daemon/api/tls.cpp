#include "daemon/api/tls.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/try.h"
#include "daemon/api/crypto.h"

namespace ballast::api {
namespace {

template <auto Release>
struct Releaser {
    template <class T>
    void operator()(T* raw) const noexcept {
        Release(raw);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Releaser<X509_free>>;
using Bio = std::unique_ptr<BIO, Releaser<BIO_free_all>>;
using Names = std::unique_ptr<GENERAL_NAMES, Releaser<GENERAL_NAMES_free>>;

std::unexpected<Error> openssl_error(std::string_view doing) {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    return fail(Code::internal, "{}: OpenSSL says {}", doing, text.data());
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

Bio reader(const std::string& text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::string> read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(Code::failed_precondition, "the TLS file {} can't be read: {}", path, std::strerror(errno));
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// Whole or not at all: written beside, synced, renamed.
Result<void> write_text(const std::string& path, const std::string& text, mode_t mode) {
    const std::string beside = path + ".new";
    ::unlink(beside.c_str());
    const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0)
        return fail(Code::failed_precondition, "the TLS file {} can't be written: {}", beside, std::strerror(errno));
    const bool written =
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
    ::close(file);
    if (!written || ::rename(beside.c_str(), path.c_str()) != 0)
        return fail(Code::failed_precondition, "the TLS file {} can't be written: {}", path, std::strerror(errno));
    return {};
}

bool is_address(const std::string& name) {
    std::array<unsigned char, sizeof(in6_addr)> buffer{};
    return inet_pton(AF_INET, name.c_str(), buffer.data()) == 1 ||
           inet_pton(AF_INET6, name.c_str(), buffer.data()) == 1;
}

std::vector<std::string> wanted_names(const std::vector<std::string>& configured) {
    std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0') names.emplace_back(host.data());
    names.insert(names.end(), configured.begin(), configured.end());
    std::vector<std::string> unique;
    for (auto& name : names)
        if (!name.empty() && std::ranges::find(unique, name) == unique.end()) unique.push_back(name);
    return unique;
}

Timestamp time_of(const ASN1_TIME* time) {
    std::tm parts{};
    ASN1_TIME_to_tm(time, &parts);
    return Timestamp(std::chrono::seconds(timegm(&parts)));
}

std::string address_text(const ASN1_OCTET_STRING* address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
    inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size());
    return text.data();
}

std::vector<std::string> names_of(const X509* certificate) {
    std::vector<std::string> names;
    const Names list(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; list && i < sk_GENERAL_NAME_num(list.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(list.get(), i);
        if (name->type == GEN_DNS)
            names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                               static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
        else if (name->type == GEN_IPADD)
            names.push_back(address_text(name->d.iPAddress));
    }
    return names;
}

template <class Encode, class Thing>
std::string fingerprint(Encode encode, Thing* thing) {
    unsigned char* der = nullptr;
    const int size = encode(thing, &der);
    const std::string digest = sha256_hex({reinterpret_cast<char*>(der), static_cast<std::size_t>(std::max(size, 0))});
    OPENSSL_free(der);
    return "sha256:" + digest;
}

Result<void> add_extension(X509* certificate, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) return openssl_error("making the API's certificate");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return {};
}

std::string alternative_names(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names)
        text += fmt::format("{}{}:{}", text.empty() ? "" : ",", is_address(name) ? "IP" : "DNS", name);
    return text;
}

Result<void> set_serial(X509* certificate) {
    std::string serial = random_bytes(16);
    serial[0] = static_cast<char>(serial[0] & 0x7F);
    BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return {};
}

Result<std::string> make_certificate(EVP_PKEY* key, const std::vector<std::string>& names, Timestamp now) {
    const Certificate certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    BALLAST_CHECK(set_serial(certificate.get()));
    const auto from = std::chrono::floor<std::chrono::seconds>(now - std::chrono::hours(1));
    ASN1_TIME_set(X509_getm_notBefore(certificate.get()), from.time_since_epoch().count());
    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), (from + tls_validity).time_since_epoch().count());
    X509_NAME* subject = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Ballast"), -1, -1,
                               0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("ballastd"), -1, -1,
                               0);
    X509_set_issuer_name(certificate.get(), subject);
    X509_set_pubkey(certificate.get(), key);
    BALLAST_CHECK(add_extension(certificate.get(), NID_subject_alt_name, alternative_names(names)));
    BALLAST_CHECK(add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE"));
    BALLAST_CHECK(add_extension(certificate.get(), NID_ext_key_usage, "serverAuth"));
    if (X509_sign(certificate.get(), key, EVP_sha256()) == 0) return openssl_error("signing the API's certificate");
    const Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(out.get(), certificate.get());
    return text_of(out.get());
}

Result<std::string> make_key() {
    const Key key(EVP_EC_gen("P-256"));
    if (!key) return openssl_error("making the API's key");
    const Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(out.get());
}

Result<Key> parse_key(const std::string& pem, const std::string& path) {
    Key key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, nullptr, nullptr));
    if (!key)
        return fail(Code::failed_precondition, "{} holds no private key; restore it, or remove both TLS files", path);
    return key;
}

Result<TlsIdentity> identify(std::string certificate_pem, std::string key_pem, const TlsFiles& files) {
    const Certificate certificate(PEM_read_bio_X509(reader(certificate_pem).get(), nullptr, nullptr, nullptr));
    if (!certificate)
        return fail(Code::failed_precondition, "{} holds no certificate; restore it, or remove it", files.certificate);
    BALLAST_TRY(const Key key, parse_key(key_pem, files.key));
    if (X509_check_private_key(certificate.get(), key.get()) != 1)
        return fail(Code::failed_precondition, "the key in {} does not belong to the certificate in {}", files.key,
                    files.certificate);
    TlsIdentity identity;
    identity.key_fingerprint = fingerprint(i2d_PUBKEY, key.get());
    identity.certificate_fingerprint = fingerprint(i2d_X509, certificate.get());
    identity.names = names_of(certificate.get());
    identity.not_before = time_of(X509_get0_notBefore(certificate.get()));
    identity.not_after = time_of(X509_get0_notAfter(certificate.get()));
    identity.certificate_pem = std::move(certificate_pem);
    identity.key_pem = std::move(key_pem);
    return identity;
}

Result<TlsIdentity> make(const TlsFiles& files, std::string key_pem, Timestamp now) {
    BALLAST_TRY(const Key key, parse_key(key_pem, files.key));
    BALLAST_TRY(auto certificate, make_certificate(key.get(), wanted_names(files.names), now));
    BALLAST_CHECK(write_text(files.certificate, certificate, 0644));
    return identify(std::move(certificate), std::move(key_pem), files);
}

bool covers(const TlsIdentity& identity, const std::vector<std::string>& names) {
    return std::ranges::all_of(names,
                               [&](const std::string& name) { return std::ranges::count(identity.names, name) != 0; });
}

}  // namespace

bool is_due(const TlsIdentity& identity, Timestamp now) {
    return now + tls_renew_before >= identity.not_after;
}

Result<TlsIdentity> load_or_make_tls(TlsFiles files, Timestamp now) {
    std::error_code ignored;
    if (files.own && !std::filesystem::exists(files.key, ignored)) {
        std::filesystem::create_directories(std::filesystem::path(files.key).parent_path(), ignored);
        BALLAST_TRY(const auto made, make_key());
        BALLAST_CHECK(write_text(files.key, made, 0600));
    }
    BALLAST_TRY(auto key, read_text(files.key));
    if (files.own && !std::filesystem::exists(files.certificate, ignored)) return make(files, std::move(key), now);
    BALLAST_TRY(auto certificate, read_text(files.certificate));
    BALLAST_TRY(auto identity, identify(std::move(certificate), key, files));
    if (files.own && (is_due(identity, now) || !covers(identity, files.names))) return make(files, std::move(key), now);
    return identity;
}

}  // namespace ballast::api

# PHP 8.4 (Apache) · index.php
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM php:8.4-apache
ENV PORT=8080 APACHE_DOCUMENT_ROOT="/var/www/html"
RUN sed -ri 's/^Listen 80$/Listen ${PORT}/' /etc/apache2/ports.conf \
 && sed -ri 's/:80>/:${PORT}>/' /etc/apache2/sites-available/*.conf \
 && sed -ri 's#/var/www/html#${APACHE_DOCUMENT_ROOT}#' /etc/apache2/sites-available/*.conf \
 && a2enmod rewrite \
 && docker-php-ext-install pdo_mysql opcache mysqli \
 && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" \
 && chown www-data:www-data /var/www/html
WORKDIR /var/www/html
COPY --chown=www-data:www-data . .
USER www-data
EXPOSE 8080
ENTRYPOINT []
CMD ["apache2-foreground"]
# ---
# kind php, web, port 8080, because of index.php
